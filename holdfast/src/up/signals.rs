//! The signals that end a server.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, iterator};

use crate::failure::{Exit, Failure};

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing.
    Nothing,
    /// End in an orderly way.
    End,
    /// Nobody listens any more, which must not happen; end as well.
    EndNow,
}

/// Listens for signals.
pub(crate) struct Signals {
    inbox: Receiver<()>,
    impatient: Arc<AtomicBool>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let refused = |error: std::io::Error| Failure::of("SIGNALS", "listening for signals", &error);
        let impatient = Arc::new(AtomicBool::new(false));
        // A second signal ends the process at once: the log makes that safe.
        for signal in [SIGTERM, SIGINT] {
            let exit = i32::from(Exit::Interrupted as u8);
            flag::register_conditional_shutdown(signal, exit, Arc::clone(&impatient)).map_err(refused)?;
        }
        let mut signals = iterator::Signals::new([SIGTERM, SIGINT]).map_err(refused)?;
        let (sender, inbox) = channel();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    // Nobody waits for it once the server has ended.
                    sender.send(()).ok();
                }
            })
            .map_err(refused)?;
        Ok(Self { inbox, impatient })
    }

    /// Whether a signal came.
    pub(crate) fn heard(&self) -> Heard {
        match self.inbox.try_recv() {
            Ok(()) => Heard::End,
            Err(TryRecvError::Empty) => Heard::Nothing,
            Err(TryRecvError::Disconnected) => Heard::EndNow,
        }
    }

    /// Waits for a signal, at most for `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> Heard {
        match self.inbox.recv_timeout(patience) {
            Ok(()) => Heard::End,
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::EndNow,
        }
    }

    /// Whether a signal comes within this time. The caller ends then.
    pub(crate) fn is_heard_within(&self, patience: Duration) -> bool {
        let heard = self.wait(patience) != Heard::Nothing;
        if heard {
            self.end_at_once_from_now_on();
        }
        heard
    }

    /// The orderly end has begun; another signal does not wait for it.
    pub(crate) fn end_at_once_from_now_on(&self) {
        self.impatient.store(true, Ordering::SeqCst);
    }
}
