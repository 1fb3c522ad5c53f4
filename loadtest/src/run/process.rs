//! A process that sends requests: its own figures, and whether they are the limit.

use super::tally::Tally;
use crate::generator::{Signs, busy_seconds, verdict};
use crate::report::hdr::quantiles;
use crate::results::Generator;
use crate::scenario::Model;

/// What is known of it beside what it has measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) model: Model,
    pub(crate) threads: u32,
    /// That it can use.
    pub(crate) cores: u32,
    pub(crate) connections: u32,
    /// Its processor time as a share of one core, in percent.
    pub(crate) cpu_percent: f64,
    /// Open at once, at most.
    pub(crate) sockets_max: u64,
}

impl Process {
    /// How it did, from what it has measured.
    pub(crate) fn figures(&self, tally: &Tally) -> Generator {
        let signs = Signs {
            model: self.model,
            threads: self.threads,
            cores: self.cores,
            connections: self.connections,
            lag: quantiles(&tally.lag),
            cpu_percent: self.cpu_percent,
            due: tally.counts.due,
            dropped: tally.counts.dropped,
            busy_seconds: busy_seconds(&tally.seconds, self.connections),
            seconds: tally.seconds.len() as u64,
        };
        Generator {
            processes: 1,
            threads: self.threads,
            connections: self.connections,
            cpu_percent: self.cpu_percent,
            lag: signs.lag,
            sockets_max: self.sockets_max,
            is_limit: signs.is_generator_the_limit(),
            warnings: verdict(&signs),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run has so many seconds")]
pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}
