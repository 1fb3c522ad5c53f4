//! Keys that were pressed, without ever waiting for one.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};

const CTRL_C: u8 = 3;
const ESCAPE: u8 = 0x1b;

/// What was pressed since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Nothing that means anything.
    Nothing,
    /// `q` or Ctrl-C.
    Stop,
    /// There is no terminal any more.
    Gone,
}

/// Takes all keys that were pressed.
///
/// Only bytes that are there are read, and no sequence is waited for to become whole: half of one, as Alt with a bracket sends
/// it, must not hold up the run.
pub(super) fn pressed(terminal: impl AsFd) -> Pressed {
    let mut bytes = [0; 256];
    let mut pressed = Pressed::Nothing;
    loop {
        match poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&Timespec::default())) {
            Ok(0) | Err(_) => return pressed,
            Ok(_) => {}
        }
        match read(&terminal, &mut bytes) {
            Ok(1..) if pressed == Pressed::Stop => {}
            Ok(count @ 1..) => {
                if bytes.get(..count).is_some_and(asks_to_stop) {
                    pressed = Pressed::Stop;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => return pressed,
            Ok(_) | Err(_) => return Pressed::Gone,
        }
    }
}

/// The letters of a key that is no letter follow an escape.
fn asks_to_stop(bytes: &[u8]) -> bool {
    let has_letters = bytes.first() != Some(&ESCAPE);
    bytes.iter().any(|it| *it == CTRL_C || (has_letters && *it == b'q'))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn keys_are_taken_as_they_come_and_never_waited_for() {
        let (mut near, far) = UnixStream::pair().unwrap();
        assert_eq!(pressed(&far), Pressed::Nothing, "nothing was pressed");
        for (bytes, expected) in [
            (&b"x\r"[..], Pressed::Nothing),
            (b"\x1b[", Pressed::Nothing),
            (b"\x1bO", Pressed::Nothing),
            (b"\xc3", Pressed::Nothing),
            (b"\x1b[1;2q", Pressed::Nothing),
            (b"q", Pressed::Stop),
            (b"aq", Pressed::Stop),
            (b"\x1b[\x03", Pressed::Stop),
            (&[b'q'; 700], Pressed::Stop),
        ] {
            near.write_all(bytes).unwrap();
            assert_eq!(pressed(&far), expected, "{bytes:?}");
        }
        drop(near);
        assert_eq!(pressed(&far), Pressed::Gone);
    }
}
