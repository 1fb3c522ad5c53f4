//! The screen: takes the terminal, draws on it, listens to keys, and gives the terminal back whatever happens.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Stderr, Write, stderr, stdin};
use std::mem::ManuallyDrop;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::Snapshot;
use super::draw::{Keys, Palette, Scene, draw};
use super::keys::{Pressed, pressed};

/// Older messages are forgotten.
const MESSAGES_MAX: usize = 200;

/// Whether the terminal is ours, which the panic hook must know without asking anybody.
static IS_UP: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// A terminal that shows a run.
pub(crate) struct Screen {
    /// Never dropped: it would show the cursor once more, and panic where standard error is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stderr>>>,
    palette: Palette,
    keys: Keys,
    messages: VecDeque<String>,
}

impl Screen {
    /// Takes the terminal. Keys are read only if standard input is one.
    ///
    /// # Errors
    /// If standard error is no terminal that can be a screen.
    pub(super) fn open() -> io::Result<Self> {
        let terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(stderr()))?);
        let keys = if stdin().is_terminal() { Keys::Read } else { Keys::Unread };
        let has_colour = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        let palette = if has_colour { Palette::Colours } else { Palette::Plain };
        HOOK.call_once(restore_on_panic);
        if keys == Keys::Read {
            enable_raw_mode()?;
        }
        IS_UP.store(true, Ordering::SeqCst);
        let screen = Self { terminal, palette, keys, messages: VecDeque::new() };
        // Not by the terminal's own `clear`: that asks where the cursor is, and not every terminal answers.
        execute!(stderr(), EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(screen)
    }

    pub(super) fn show(&mut self, now: &Snapshot) {
        self.read_keys();
        if !IS_UP.load(Ordering::SeqCst) {
            return;
        }
        let messages = self.messages.make_contiguous();
        let scene = Scene { now, messages, palette: self.palette, keys: self.keys };
        // A terminal that is gone is no reason to end the run.
        drop(self.terminal.draw(|frame| draw(frame, &scene)));
    }

    pub(super) fn say(&mut self, what: String) {
        if !IS_UP.load(Ordering::SeqCst) {
            // Nobody is there to hear that nobody can be told.
            return drop(writeln!(stderr(), "{what}"));
        }
        if self.messages.len() == MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(what);
    }

    pub(super) fn wants_stop(&mut self) -> bool {
        self.read_keys();
        self.keys == Keys::Stop
    }

    /// Takes all keys that were pressed.
    fn read_keys(&mut self) {
        if self.keys == Keys::Unread || !IS_UP.load(Ordering::SeqCst) {
            return;
        }
        match pressed(stdin()) {
            Pressed::Nothing => {}
            Pressed::Stop => self.keys = Keys::Stop,
            Pressed::Gone if self.keys == Keys::Stop => {}
            Pressed::Gone => self.keys = Keys::Unread,
        }
    }

    /// Gives the terminal back and repeats what was said. The second time it does nothing.
    pub(super) fn leave(&mut self) {
        restore();
        for message in self.messages.drain(..) {
            drop(writeln!(stderr(), "{message}"));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a panic says must not go down with the screen that it is said on.
fn restore_on_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        hook(panic);
    }));
}

fn restore() {
    if IS_UP.swap(false, Ordering::SeqCst) {
        // There is no other way to give it back than these.
        drop(execute!(stderr(), LeaveAlternateScreen, Show));
        drop(disable_raw_mode());
    }
}
