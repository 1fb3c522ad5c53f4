//! What is done to the server while it is loaded.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::check::{DURATION_MAX_MS, Wrong, within};
use super::place;

/// The role of a fault that names none.
pub(crate) const SERVER: &str = "server";

/// One thing that is done to one process, or to the disk, and undone.
///
/// All of them are dealt with one after the other: one that is due while a server is being started again is done a little
/// later. The results say when each was done. When the run is over everything is undone at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// When it is done, after T0 and before the last stage ends.
    pub(crate) at_ms: Spanned<u64>,
    kind: Spanned<FaultKind>,
    /// Whose process. Of a server that the run has started itself: `server` is its only process, `sequencer` the process that
    /// decides about the first SKU, `intake` the one that serves buyers; where everything is one process, all of these are
    /// that process. Every other name, and these of any other server, stand for what is named on the command line, as in
    /// `--process broker=4711`. Left out, it is `server`; for `fill-disk` it must be.
    role: Option<Spanned<String>>,
    /// How long it lasts: until the process is thawed, started again, or the disk is freed. Only `kill` can do without it. Then
    /// a process that the run can start is started again at once, and any other stays away.
    for_ms: Option<Spanned<u64>>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    /// `kill -9`. A process of the run's own server is started again by the run; any other by the command that was given for it,
    /// as in `--restart broker='exec start-broker'`.
    Kill,
    /// `kill -STOP`, and `kill -CONT` later: nothing is lost, but nothing moves.
    Freeze,
    /// The file system of the server's data directory is filled to the last byte. Only one in memory (tmpfs) of at most 4 GiB is
    /// filled: nobody's disk is.
    FillDisk,
}

impl Fault {
    pub(crate) fn at(&self) -> Duration {
        Duration::from_millis(*self.at_ms.get_ref())
    }

    pub(crate) fn kind(&self) -> FaultKind {
        *self.kind.get_ref()
    }

    /// Whose process.
    pub(crate) fn role(&self) -> &str {
        self.role.as_ref().map_or(SERVER, |it| it.get_ref())
    }

    /// How long it lasts, if that is said.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        self.for_ms.as_ref().map(|it| Duration::from_millis(*it.get_ref()))
    }

    /// What stands in reports.
    pub(crate) fn told(&self) -> String {
        match self.kind() {
            FaultKind::Kill => format!("kill -9 of the {}", self.role()),
            FaultKind::Freeze => format!("{} frozen", self.role()),
            FaultKind::FillDisk => "disk full".to_owned(),
        }
    }
}

/// The faults in the order in which they are done.
pub(crate) fn in_order(faults: &[Fault]) -> Vec<&Fault> {
    let mut all: Vec<&Fault> = faults.iter().collect();
    all.sort_by_key(|it| it.at());
    all
}

/// The first thing that is wrong with the faults of a run of this length.
pub(super) fn check(faults: &[Fault], length_ms: u64) -> Result<(), Wrong> {
    for fault in faults {
        let at_ms = *fault.at_ms.get_ref();
        if at_ms >= length_ms {
            let what = format!("at_ms is {at_ms}; a fault is done before the last stage ends at {length_ms}");
            return Err((place(&fault.at_ms), what));
        }
        match (&fault.for_ms, fault.kind()) {
            (Some(for_ms), _) => within(for_ms, 1, DURATION_MAX_MS, "for_ms")?,
            (None, FaultKind::Kill) => {}
            (None, FaultKind::Freeze | FaultKind::FillDisk) => {
                return Err((place(&fault.kind), "say with for_ms how long it lasts".to_owned()));
            }
        }
        let Some(role) = &fault.role else { continue };
        if fault.kind() == FaultKind::FillDisk && role.get_ref() != SERVER {
            let what = "the disk that is filled is always the server's: leave `role` out";
            return Err((place(role), what.to_owned()));
        }
        if role.get_ref().is_empty() {
            return Err((place(role), "role names nobody".to_owned()));
        }
    }
    one_at_a_time(faults)
}

/// Nothing is done to a process to which something is being done.
fn one_at_a_time(faults: &[Fault]) -> Result<(), Wrong> {
    let all = in_order(faults);
    for (number, fault) in all.iter().enumerate() {
        let is_same = |it: &&&Fault| it.role() == fault.role() && it.is_disk() == fault.is_disk();
        let Some(before) = all[..number].iter().rfind(is_same) else { continue };
        if before.at() + before.lasts().unwrap_or_default() > fault.at() {
            let what = format!("what begins at {} ms is still going on then", before.at().as_millis());
            return Err((place(&fault.at_ms), what));
        }
    }
    Ok(())
}

impl Fault {
    fn is_disk(&self) -> bool {
        self.kind() == FaultKind::FillDisk
    }
}
