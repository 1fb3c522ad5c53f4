//! The form of the file. Whatever is left out has the value that a plain sale has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{fault::Fault, strict};
use crate::thresholds;

/// A load test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// One sentence for people.
    #[serde(default)]
    pub(crate) about: String,
    /// Everything that is drawn follows from it.
    #[serde(default = "defaults::seed")]
    pub(crate) seed: u64,
    /// Whether requests come when they are due, or when the one before was answered.
    #[serde(default)]
    pub(crate) model: Model,
    /// Connections that are kept open. In the closed model each asks without pause.
    #[serde(default = "defaults::connections")]
    pub(crate) connections: Spanned<u32>,
    #[serde(default)]
    pub(crate) sale: Sale,
    #[serde(default)]
    pub(crate) buyers: Buyers,
    #[serde(default)]
    pub(crate) client: Client,
    #[serde(default)]
    pub(crate) after: After,
    #[serde(default)]
    pub(crate) readers: Readers,
    /// Somebody else's interface; Holdfast's if it is left out.
    pub(crate) api: Option<Api>,
    /// One after the other.
    #[serde(rename = "stage")]
    pub(crate) stages: Spanned<Vec<Stage>>,
    /// What is done to the server meanwhile.
    #[serde(default, rename = "fault")]
    pub(crate) faults: Vec<Fault>,
    /// What must hold of the figures for the run to pass.
    #[serde(default, rename = "threshold")]
    pub(crate) thresholds: Vec<Threshold>,
}

/// Who waits for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Model {
    /// Requests come when they are due, whatever became of those before. What people do.
    #[default]
    Open,
    /// Each connection asks when it was answered. What a queue of workers does; a slow server is asked less.
    Closed,
}

impl Scenario {
    /// How many connections are kept open.
    pub(crate) fn connection_count(&self) -> usize {
        usize::try_from(*self.connections.get_ref()).unwrap_or(usize::MAX)
    }
}

impl Model {
    /// As it stands in scenarios and results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What there is to buy.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sale {
    pub(crate) skus: Spanned<u16>,
    /// Units of each SKU.
    pub(crate) units: Spanned<u64>,
    pub(crate) units_per_customer_max: Spanned<u32>,
    pub(crate) hold_ttl_ms: Spanned<u64>,
}

/// Who comes and what they want.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Buyers {
    /// Different customers; they come round again.
    pub(crate) customers: Spanned<u32>,
    pub(crate) popularity: Spanned<Popularity>,
    /// Units per reservation are drawn from here, both ends included.
    #[serde(deserialize_with = "strict::two")]
    pub(crate) units: Spanned<[u32; 2]>,
    /// Share of reservations with several SKUs.
    pub(crate) multi_line: Spanned<f64>,
    /// Share of reservations of one SKU that take fewer units if there are not as many.
    pub(crate) partial: Spanned<f64>,
    /// Share that is sent a second time, with the same key, within `double_click_ms`.
    pub(crate) double_click: Spanned<f64>,
    #[serde(deserialize_with = "strict::two")]
    pub(crate) double_click_ms: Spanned<[u64; 2]>,
    /// Share whose key is used again for another order.
    pub(crate) key_reuse: Spanned<f64>,
    /// Share of customers who are bots ...
    pub(crate) bots: Spanned<f64>,
    /// ... and the share of all requests that they send.
    pub(crate) bot_requests: Spanned<f64>,
}

/// How requests spread over SKUs.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "strict::PopularityForm")]
pub(crate) enum Popularity {
    /// One SKU gets this share of all requests; the others share the rest evenly.
    Hot {
        share: f64,
    },
    /// The n-th SKU is asked for in proportion to 1 / n^s.
    Zipf {
        s: f64,
    },
    Uniform,
}

/// How long a client waits, and what it does then.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Client {
    /// The answer that has not come by then is not waited for.
    pub(crate) timeout_ms: Spanned<u64>,
    /// How often the same request is sent again, with the same key, after silence, 429 or 503.
    pub(crate) retries: Spanned<u32>,
    /// How long the client waits before that: doubled each time, and never more than ten times this.
    pub(crate) backoff_ms: Spanned<u64>,
    /// The wait is drawn between nothing and all of it.
    pub(crate) jitter: bool,
}

/// What becomes of what was reserved. Whatever is left is abandoned.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct After {
    pub(crate) confirm: Spanned<f64>,
    pub(crate) release: Spanned<f64>,
    /// How long people think about it, both ends included.
    #[serde(deserialize_with = "strict::two")]
    pub(crate) delay_ms: Spanned<[u64; 2]>,
}

/// Requests that only look.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Readers {
    /// Share of all requests.
    pub(crate) share: Spanned<f64>,
}

/// How somebody else's HTTP interface is asked for units. `{key}`, `{customer}`, `{sku}`, `{units}`, `{token}` and `{run}` stand
/// for what differs from one request to the next.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    #[serde(default = "defaults::method")]
    pub(crate) method: Spanned<String>,
    pub(crate) path: Spanned<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Spanned<String>>,
    #[serde(default = "defaults::body")]
    pub(crate) body: Spanned<String>,
    /// Statuses that say that the units are the buyer's.
    pub(crate) granted: Spanned<Vec<u16>>,
    /// Statuses that say that there are none.
    #[serde(default)]
    pub(crate) refused: Vec<u16>,
}

/// A part of the run with one kind of arrival.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    pub(crate) duration_ms: Spanned<u64>,
    /// Requests per second: at its beginning, or throughout.
    #[serde(default = "defaults::rate")]
    pub(crate) rate: Spanned<f64>,
    /// Where the rate has come to at the end, of a linear stage; how high it goes, of a spike.
    pub(crate) to: Option<Spanned<f64>>,
    #[serde(default)]
    pub(crate) shape: Shape,
}

/// How requests of a stage follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// Evenly.
    #[default]
    Const,
    /// Evenly, and ever faster or slower.
    Linear,
    /// As people do who know nothing of each other: the gaps are drawn from an exponential distribution.
    Poisson,
    /// At `to` from the first moment, falling back to `rate` exponentially: nine tenths of the way in a third of the time.
    Spike,
}

/// A condition on the figures of the run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Threshold {
    /// For instance `reserve:p99<50ms`, `error_rate<0.01`, `dropped==0`.
    pub(crate) that: Spanned<String>,
    /// The run ends when it fails.
    #[serde(default)]
    pub(crate) abort_on_fail: bool,
    /// It is not looked at before so much time has passed.
    #[serde(default)]
    pub(crate) after_ms: u64,
}

impl Threshold {
    /// What it says.
    pub(crate) fn read(&self) -> Result<thresholds::Threshold, String> {
        let after = Duration::from_millis(self.after_ms);
        thresholds::Threshold::parse(self.that.get_ref(), self.abort_on_fail, after)
    }
}

impl Stage {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(*self.duration_ms.get_ref())
    }
}

fn plain<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

mod defaults {
    use super::{Spanned, plain};

    pub(super) fn method() -> Spanned<String> {
        plain("POST".to_owned())
    }

    pub(super) fn body() -> Spanned<String> {
        plain(String::new())
    }

    pub(super) const fn seed() -> u64 {
        1
    }

    pub(super) fn connections() -> Spanned<u32> {
        plain(64)
    }

    pub(super) fn rate() -> Spanned<f64> {
        plain(0.0)
    }
}

impl Default for Sale {
    fn default() -> Self {
        Self {
            skus: plain(1),
            units: plain(1_000),
            units_per_customer_max: plain(2),
            hold_ttl_ms: plain(60_000),
        }
    }
}

impl Default for Buyers {
    fn default() -> Self {
        Self {
            customers: plain(10_000),
            popularity: plain(Popularity::Uniform),
            units: plain([1, 1]),
            multi_line: plain(0.0),
            partial: plain(0.0),
            double_click: plain(0.0),
            double_click_ms: plain([0, 50]),
            key_reuse: plain(0.0),
            bots: plain(0.0),
            bot_requests: plain(0.0),
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self { timeout_ms: plain(5_000), retries: plain(3), backoff_ms: plain(50), jitter: true }
    }
}

impl Default for After {
    fn default() -> Self {
        Self { confirm: plain(1.0), release: plain(0.0), delay_ms: plain([20, 400]) }
    }
}

impl Default for Readers {
    fn default() -> Self {
        Self { share: plain(0.0) }
    }
}
