//! Waits for connections, and for moments that come sooner than a millisecond from now.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Connections that are told of at once.
const EVENTS_MAX: usize = 1_024;

/// Tells what happens on many connections (`epoll`, edge-triggered: only what is new is told).
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    /// # Errors
    /// If the system has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Tells of it under this number from now on, until it is closed.
    pub(super) fn add(&self, source: impl AsFd, number: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(number as u64), flags)?)
    }

    /// Until something happens, or the pause is over. Puts the numbers of those to which something happened into `told`, and
    /// whether they can be written to, instead of what was there.
    ///
    /// `epoll_wait` counts in milliseconds and waits rather longer than shorter, so it is given whole ones only, and who is to
    /// be punctual to a part of one waits with `ppoll` for the whole of the descriptors. So a pause may end before its time.
    pub(super) fn wait(&mut self, pause: Duration, told: &mut Vec<(usize, bool)>) -> io::Result<()> {
        let whole = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.take(Duration::from_millis(whole))?;
        if self.events.is_empty() && whole == 0 && !pause.is_zero() {
            match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&timespec(pause)?)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => self.take(Duration::ZERO)?,
                Err(error) => return Err(error.into()),
            }
        }
        told.clear();
        told.extend(self.events.iter().map(|event| {
            let (data, flags) = (event.data, event.flags);
            (usize::try_from(data.u64()).unwrap_or(usize::MAX), flags.contains(EventFlags::OUT))
        }));
        Ok(())
    }

    /// What has happened by now, or is the next to happen within so many whole milliseconds.
    fn take(&mut self, patience: Duration) -> io::Result<()> {
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timespec(patience)?)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn timespec(pause: Duration) -> io::Result<Timespec> {
    Timespec::try_from(pause).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_told_of_once_for_each_thing_that_happens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&ours, 7).unwrap();
        let mut told = Vec::new();
        poller.wait(Duration::from_secs(10), &mut told).unwrap();
        assert_eq!(told, [(7, true)], "it can be written to");
        poller.wait(Duration::from_micros(300), &mut told).unwrap();
        assert_eq!(told.len(), 0, "nothing new");
        theirs.write_all(b"hi").unwrap();
        poller.wait(Duration::from_secs(10), &mut told).unwrap();
        assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), [7]);
    }
}
