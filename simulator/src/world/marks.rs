//! Coverage marks of the world: the faults and what came of them.

use std::fmt::Write as _;

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A situation worth meeting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each name is a sentence; those that are not have a line of their own")]
        pub enum WorldMark { $($(#[$doc])* $name,)* }

        impl WorldMark {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

marks! {
    OwnersAgreed,
    OutputSeenAgain,
    GapSeen,
    GapFilled,
    // Processes.
    OwnerCrashed,
    OwnerCrashedWhileCheckpointWaited,
    OwnerCrashedWithOutputsUnacknowledged,
    OwnerRebuiltInItsProcess,
    OwnerRebuiltWhileCheckpointWaited,
    BeganWithoutCheckpoint,
    BeganWithCheckpoint,
    BeganFromAnOlderCheckpoint,
    BeganFromSomebodyElsesCheckpoint,
    BeganOnAnEmptiedDisk,
    TwoActiveOwners,
    ZombieWokeUp,
    StandbyPromoted,
    StandbyPromotedBesideALiveOwner,
    OldBuildMetUnknownRules,
    OldBuildWasUpgraded,
    RulesActivatedWhileSeveralOwnersRan,
    ViewAgreed,
    // The log.
    LogCrashed,
    LogCrashLostRecords,
    LogCrashKeptPart,
    LogFailedForGood,
    AppendRefusedByFullQueue,
    AppendRefusedByFullDisk,
    OutputWaitedForRoom,
    StreamInterrupted,
    CommandLost,
    CommandTurnedAway,
    CommandLandedTwice,
    CommandLandedOutOfOrder,
    CommandLandedLate,
    CommandAnswerLost,
    ClientRetriedWhatWasThere,
    OutputLost,
    OutputLandedTwice,
    OutputLandedLate,
    OutputAnswerLost,
    ReadingFailed,
    ReadingStalled,
    CommandsTrimmed,
    DecisionsTrimmed,
    /// An owner needed what was trimmed since, and said so.
    TrimGapNoticed,
    ReaderOvertakenByTrim,
    // Clocks.
    ClockSteppedBack,
    ClockJumpedAhead,
    OwnersWallOffByMuch,
    TickWrittenByOwner,
    // Checkpoint disks.
    CheckpointWritten,
    CheckpointWriteFailed,
    CheckpointDamageMadeUpByLog,
    CheckpointDamageStopped,
    // Ends that nothing can be done about but saying so.
    StoppedByLostCommands,
    StoppedByOtherHistory,
    StoppedByLostCommandsWhileRunning,
    StoppedByOtherLog,
    StoppedByLostOutputs,
    StoppedByForeignOutput,
    StoppedByOtherOutput,
    StoppedByOutputsOfLostCommands,
    StoppedByDamagedLog,
    StoppedByRecordInTheLog,
    // The end of faults.
    HealedWithinBounds,
    HoldsExpiredAfterHealing,
}

/// How often each situation was met.
#[derive(Debug, Clone)]
pub struct WorldMarks(Vec<u64>);

impl Default for WorldMarks {
    fn default() -> Self {
        Self(vec![0; WorldMark::ALL.len()])
    }
}

impl WorldMarks {
    /// Counts one hit.
    pub fn hit(&mut self, mark: WorldMark) {
        self.0[mark as usize] += 1;
    }

    /// Counts one hit if it is so.
    pub fn hit_if(&mut self, is_so: bool, mark: WorldMark) {
        if is_so {
            self.hit(mark);
        }
    }

    /// Hits of one mark.
    #[must_use]
    pub fn count(&self, mark: WorldMark) -> u64 {
        self.0[mark as usize]
    }

    /// Adds what another run has met.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, its)| *mine += its);
    }

    /// Names of the marks that were never hit.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let never = WorldMark::ALL.iter().filter(|mark| self.count(**mark) == 0);
        never.map(|mark| format!("{mark:?}")).collect()
    }

    /// All marks, one per line, rarest first.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows: Vec<_> =
            WorldMark::ALL.iter().map(|mark| (self.count(*mark), *mark as usize, mark)).collect();
        rows.sort_by_key(|(hits, number, _)| (*hits, *number));
        rows.iter().fold(String::new(), |mut text, (hits, _, mark)| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{hits:>12}  {mark:?}");
            text
        })
    }
}
