//! What happens without a command about it.

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::What;

use super::said::{SaidLine, lines};
use super::stream::Output;

/// Something that time, or a tick, brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    Expired {
        id: ReservationId,
        lines: Vec<SaidLine>,
    },
    ClockSuspect {
        append_ms: u64,
    },
    ClockTrusted {
        step_ms: u64,
    },
    /// Something that this checker does not judge.
    Other(&'static str),
}

/// The events of an output: those of time, and those of commands.
pub(super) fn happenings(output: &Output<'_>, skus: &[&str]) -> (Vec<Happened>, Vec<Happened>) {
    let (mut timely, mut caused) = (Vec::new(), Vec::new());
    for event in output.batch.events() {
        let happened = match event.what {
            What::Expired { id, lines: ended, was_waiting: false } => {
                Happened::Expired { id, lines: lines(skus, &ended) }
            }
            What::Expired { was_waiting: true, .. } | What::Offered { .. } => Happened::Other("a waitlist"),
            What::ClockSuspect { append_time_ms } => Happened::ClockSuspect { append_ms: append_time_ms },
            What::ClockTrusted { step_ms } => Happened::ClockTrusted { step_ms },
        };
        if event.cause.is_none() { timely.push(happened) } else { caused.push(happened) }
    }
    (timely, caused)
}
