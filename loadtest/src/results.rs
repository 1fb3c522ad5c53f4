//! What a run came to, in the form that is written to files and read back.
//!
//! The form has a version: readers refuse one they do not know. Times are milliseconds unless their name says otherwise,
//! and count from T0, the moment at which the first request was due.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the form.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The name of the scenario.
    pub scenario: String,
    /// What the scenario says of itself.
    pub about: String,
    /// What was drawn followed from it.
    pub seed: u64,
    /// `open` or `closed`.
    pub model: String,
    /// Who was asked.
    pub target: String,
    /// T0, in milliseconds since 1970.
    pub started_ms: u64,
    /// From T0 to the last answer.
    pub duration_s: f64,
    /// Who asked.
    pub generator: Generator,
    /// What became of all requests.
    pub requests: Requests,
    /// Latencies, by kind of request.
    pub operations: Vec<Operation>,
    /// Answers by status, as `201`; `none` is no answer.
    pub statuses: BTreeMap<String, u64>,
    /// Refusals and errors by the code in the answer's body.
    pub codes: BTreeMap<String, u64>,
    /// The run second by second, without gaps.
    pub seconds: Vec<Second>,
    /// What was sold, most asked for first.
    pub skus: Vec<SkuRow>,
    /// What was done to the server meanwhile.
    pub faults: Vec<FaultMark>,
    /// The rules that everything told was held against.
    pub checks: Vec<CheckRow>,
    /// What the scenario asks of the figures.
    pub thresholds: Vec<ThresholdRow>,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing wrong, and every threshold met.
    Pass,
    /// A rule is broken: what the figures say does not matter.
    Wrong,
    /// A threshold is not met.
    Threshold,
    /// It was ended before its time, by hand or by a threshold.
    Aborted,
}

impl Verdict {
    /// As it stands in the files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Wrong => "wrong",
            Self::Threshold => "threshold",
            Self::Aborted => "aborted",
        }
    }
}

/// The load generator's own figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Processes that sent requests.
    pub processes: u32,
    /// Threads that sent requests, all processes together.
    pub threads: u32,
    /// Connections that were kept open, all processes together.
    pub connections: u32,
    /// Processor time of the generator as a share of one core, in percent.
    pub cpu_percent: f64,
    /// How late requests were taken up, whether a connection was free for them or not: the generator's own fault.
    pub lag: Quantiles,
    /// Sockets that were open at once, at most.
    pub sockets_max: u64,
    /// The figures say more of the generator than of the server.
    pub is_limit: bool,
    /// Why, in sentences.
    pub warnings: Vec<String>,
}

/// What became of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Had to be sent.
    pub due: u64,
    /// Were sent.
    pub sent: u64,
    /// Were answered, in whatever way.
    pub answered: u64,
    /// The client stopped waiting.
    pub timed_out: u64,
    /// The connection broke or could not be made.
    pub broken: u64,
    /// Were never sent, because too many waited for a connection already.
    pub dropped: u64,
    /// Over all connections.
    pub bytes_sent: u64,
    /// Over all connections.
    pub bytes_received: u64,
}

/// Latencies of one kind of request, or of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// `all`, `reserve`, `confirm`, `release` or `look`.
    pub name: String,
    /// Requests that were answered.
    pub answered: u64,
    /// Answers per second of the run.
    pub per_second: f64,
    /// From when the request was due: what somebody felt who came then.
    pub felt: Quantiles,
    /// From when it was sent: what the server took.
    pub took: Quantiles,
    /// All of `felt`: an HDR histogram of microseconds, V2 with deflate, in base64.
    pub felt_histogram: String,
    /// All of `took`, likewise.
    pub took_histogram: String,
}

/// Of a distribution of times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Of how many times.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half were no longer.
    pub p50: f64,
    /// 90 of 100 were no longer.
    pub p90: f64,
    /// 99 of 100 were no longer.
    pub p99: f64,
    /// 999 of 1,000 were no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// One second of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// It begins so many seconds after T0.
    pub second: u64,
    /// Requests that were due in it.
    pub due: u64,
    /// Requests that were sent in it.
    pub sent: u64,
    /// Requests that were answered in it.
    pub answered: u64,
    /// Requests that were given up or broke off in it.
    pub failed: u64,
    /// Requests that were dropped in it.
    pub dropped: u64,
    /// Requests under way at its end.
    pub in_flight: u64,
    /// Answers of it by status.
    pub statuses: BTreeMap<String, u64>,
    /// Of all answers of it, from when they were due.
    pub felt: Quantiles,
    /// Of all answers of it, from when they were sent.
    pub took: Quantiles,
    /// Units granted for the first time in it, as buyers were told.
    pub granted_units: u64,
    /// Units confirmed in it, as buyers were told.
    pub confirmed_units: u64,
    /// 99 of 100 requests of it were taken up no later than so much after they were due.
    pub lag_p99: f64,
    /// The generator's processor time as a share of one core, in percent.
    pub cpu_percent: f64,
}

/// What became of one SKU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuRow {
    /// Its name.
    pub sku: String,
    /// Units that were put on the shelf.
    pub units: u64,
    /// Different reservations that were asked for.
    pub asked: u64,
    /// Units promised, as buyers were told.
    pub granted: u64,
    /// Units sold, as buyers were told.
    pub confirmed: u64,
    /// Refused for want of stock, as buyers were told.
    pub sold_out: u64,
    /// Units free at the end, as the server counts; nothing if it does not say.
    pub free: Option<u64>,
    /// Units held at the end, as the server counts.
    pub held: Option<u64>,
    /// Units sold at the end, as the server counts.
    pub committed: Option<u64>,
}

/// Something that was done to the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultMark {
    /// Seconds after T0.
    pub at_s: f64,
    /// When it was over, if it was.
    pub until_s: Option<f64>,
    /// What was done.
    pub what: String,
}

/// A rule, and what breaks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRow {
    /// The rule's name, as `oversold`.
    pub name: String,
    /// How often it is broken.
    pub faults: u64,
    /// The first of them, in sentences.
    pub examples: Vec<String>,
}

/// A threshold of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdRow {
    /// As it was written.
    pub that: String,
    /// The figure it is about, in its unit; nothing if there was none.
    pub value: Option<f64>,
    /// Whether it holds.
    pub is_met: bool,
}
