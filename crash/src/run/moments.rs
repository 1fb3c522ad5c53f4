//! Moments at which it hurts most, as far as they can be seen from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_log::{OrderedLog, StreamId, Topic};

use super::recorder::Recorder;

/// How often something is looked at that lasts for less than a millisecond.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// A moment that does not come is not waited for any longer.
const COMES_WITHIN: Duration = Duration::from_secs(2);

/// When a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At any time at which requests are under way.
    Random,
    /// Just after a client was answered: the answer must survive.
    AfterAnswer,
    /// While several requests are under way: some are written, some decided, some answered.
    UnderWay,
    /// While a checkpoint is being written: its files change.
    Checkpoint,
    /// When a command shows in its topic and its decision does not.
    Undecided,
}

impl Moment {
    /// Those that need nothing but the process.
    pub(super) const OF_A_PROCESS: [Self; 4] =
        [Self::Random, Self::AfterAnswer, Self::UnderWay, Self::Checkpoint];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::AfterAnswer => "after an answer",
            Self::UnderWay => "requests under way",
            Self::Checkpoint => "checkpoint being written",
            Self::Undecided => "command written, not decided",
        }
    }

    /// Waits for it; comes back without it if it does not come soon.
    pub(super) fn wait(
        self,
        recorder: &Recorder,
        checkpoints: &Path,
        log: Option<&dyn OrderedLog>,
        rng: &mut fastrand::Rng,
    ) {
        std::thread::sleep(Duration::from_millis(rng.u64(50..700)));
        let acks = recorder.acks();
        let busy = || recorder.in_flight() > 0;
        match self {
            Self::Random => wait(busy),
            Self::AfterAnswer => wait(|| recorder.acks() > acks && busy()),
            Self::UnderWay => wait(|| recorder.in_flight() >= 4),
            Self::Checkpoint => {
                let before = files(checkpoints);
                wait(|| files(checkpoints) != before && busy());
            }
            Self::Undecided => {
                if let Some(log) = log {
                    let partition = PartitionId(rng.u32(..log.partitions(Topic::InventoryCommands)));
                    undecided(log, partition);
                }
            }
        }
    }
}

fn wait(comes: impl Fn() -> bool) {
    let deadline = Instant::now() + COMES_WITHIN;
    while !comes() && Instant::now() < deadline {
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Asks for the ends of both topics in turn until only the commands have grown.
fn undecided(log: &dyn OrderedLog, partition: PartitionId) {
    let end = |topic| log.refresh(StreamId { topic, partition }).map(|it| it.end).ok();
    let mut decisions = end(Topic::InventoryDecisions);
    let mut commands = end(Topic::InventoryCommands);
    let deadline = Instant::now() + COMES_WITHIN;
    while Instant::now() < deadline {
        let grown = end(Topic::InventoryCommands);
        if grown > commands {
            let answered = end(Topic::InventoryDecisions);
            if answered == decisions {
                return;
            }
            decisions = answered;
        }
        commands = grown;
    }
}

/// The files of a directory and their sizes.
fn files(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|it| Some((it.path(), it.metadata().ok()?.len()))).collect()
}
