//! How a run was set up, and how much evidence it must give to mean anything.

use serde::{Deserialize, Serialize};

/// The settings of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the schedule and the traffic follow from.
    pub seed: u64,
    /// The wall clock when the run began; times in microseconds count from here.
    pub started_wall_ms: u64,
    /// How long faults were injected.
    pub seconds: u64,
    /// Brokers, or 0 for the embedded log.
    pub brokers: u32,
    /// Partitions of each topic.
    pub partitions: u32,
    /// The secret that reservation ids are derived with, 64 hexadecimal digits. Made for this run only.
    pub id_key: String,
    /// Everything was healed and quiet, and both topics were read to their ends, before the evidence was collected.
    pub settled: bool,
    /// SKUs that buyers bought to the last unit in the end.
    pub bought_out: Vec<String>,
    /// Processes that did not end in good order when they were asked to.
    pub unclean: Vec<String>,
    /// Faults that could not be injected here, and why.
    pub skipped: Vec<String>,
    /// How much evidence there must be.
    pub minimums: Minimums,
}

/// The least evidence without which a clean history means nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Minimums {
    /// Processes killed while operations were under way.
    pub kills_mid_traffic: u64,
    /// Answers that clients got from the sequencer.
    pub acks: u64,
    /// Operations that ended without an answer and were resolved from the log.
    pub unknowns: u64,
    /// Outputs that are in the decisions topic more than once.
    pub duplicate_outputs: u64,
    /// Outputs repeated by a process that was stopped, replaced, and went on.
    pub zombie_overlaps: u64,
    /// Holds that ended by time.
    pub expiries: u64,
    /// Reservations refused by the sequencer because nothing was left.
    pub sold_out: u64,
    /// Repeated requests that got their first answer again.
    pub replays: u64,
    /// Keys used again for another request.
    pub id_reused: u64,
    /// Commands that were in the log before their owner was killed and were answered after another began.
    pub reemissions: u64,
    /// Digests of owners, or carried by outputs, that could be compared.
    pub digests_compared: u64,
    /// Leading brokers killed.
    pub broker_failovers: u64,
    /// Partitions that had to refuse, and did.
    pub stops: u64,
}
