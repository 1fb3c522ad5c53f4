//! A child with a terminal of its own shows a run; the terminal must be as it was when the child is gone.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::*;

/// Tells the child that it is one, and how it is to end.
const PART: &str = "HOLDFAST_LOADTEST_SCREEN";
/// A child that nobody stops gives up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

const ENTERS: &str = "\u{1b}[?1049h";
const LEAVES: &str = "\u{1b}[?1049l";
/// Stands on the screen, and nowhere else.
const FIGURE: &str = "67,714";
const SHOWS_CURSOR: &str = "\u{1b}[?25h";

/// The near end of a terminal, and what came out of it.
struct Terminal {
    near: File,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    /// Runs a test of this executable once more, as a child on a new terminal.
    fn with_child(test: &str, part: &str) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        tcsetwinsize(&near, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let far: OwnedFd = rustix::fs::open(
            ptsname(&near, Vec::new()).unwrap(),
            OFlags::RDWR | OFlags::NOCTTY,
            Mode::empty(),
        )
        .unwrap();
        let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture"])
            .env(PART, part)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(far.try_clone().unwrap())
            .stdout(far.try_clone().unwrap())
            .stderr(far)
            .spawn()
            .unwrap();
        Self { near: near.into(), child, seen: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads more. Nothing comes any more when the child has let go of the terminal.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let count = self.near.read(&mut bytes).unwrap_or(0);
        self.seen.extend_from_slice(&bytes[..count]);
        count > 0
    }

    fn read_until(&mut self, what: &str) {
        while !self.text().contains(what) {
            assert!(self.read(), "no {what:?} in {:?}", self.text());
        }
    }

    /// Waits for the child's end; says what came and whether the child ended well.
    fn end(mut self) -> (String, bool) {
        while self.read() {}
        let is_well = self.child.wait().unwrap().success();
        let modes = tcgetattr(&self.near).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
        (self.text(), is_well)
    }
}

/// What the child does, if this process is the child.
fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Shows a run until somebody wants it to stop.
fn show_until_stopped(view: &mut View) {
    let begun = Instant::now();
    while !view.wants_stop() {
        view.show(&running());
        assert!(begun.elapsed() < GIVE_UP_AFTER, "nobody has pressed a key");
    }
}

#[track_caller]
fn was_shown_and_left(text: &str) {
    let (Some(entered), Some(left)) = (text.find(ENTERS), text.rfind(LEAVES)) else { panic!("{text:?}") };
    assert!(text[entered..left].contains(FIGURE), "{text:?}");
    assert!(text[left..].contains(SHOWS_CURSOR), "{text:?}");
}

#[test]
fn a_key_stops_and_the_terminal_is_given_back() {
    if part().is_some() {
        let mut view = View::new(Face::of_standard_error());
        assert!(matches!(view, View::Screen(_)));
        view.say("the sale is put up");
        show_until_stopped(&mut view);
        view.finish();
        view.say("afterwards");
        return;
    }
    for key in [b"q", b"\x03"] {
        let mut terminal = Terminal::with_child("a_key_stops_and_the_terminal_is_given_back", "key");
        terminal.read_until(FIGURE);
        let modes = tcgetattr(&terminal.near).unwrap().local_modes;
        assert!(!modes.contains(LocalModes::ICANON), "{modes:?}");
        terminal.near.write_all(key).unwrap();
        let (text, is_well) = terminal.end();
        assert!(is_well, "{text:?}");
        was_shown_and_left(&text);
        let after = &text[text.rfind(LEAVES).unwrap()..];
        assert!(after.contains("the sale is put up") && after.contains("afterwards"), "{after:?}");
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told_of() {
    if part().is_some() {
        let mut view = View::new(Face::Screen);
        view.show(&running());
        panic!("a rule is broken");
    }
    let (text, is_well) =
        Terminal::with_child("a_panic_gives_the_terminal_back_before_it_is_told_of", "panic").end();
    assert!(!is_well, "{text:?}");
    was_shown_and_left(&text);
    assert!(text[text.rfind(LEAVES).unwrap()..].contains("a rule is broken"), "{text:?}");
}

#[test]
fn a_view_that_is_dropped_gives_the_terminal_back() {
    if part().is_some() {
        return View::new(Face::Screen).show(&running());
    }
    let (text, is_well) =
        Terminal::with_child("a_view_that_is_dropped_gives_the_terminal_back", "drop").end();
    assert!(is_well, "{text:?}");
    was_shown_and_left(&text);
}
