//! Counters of one thread, written by it alone and added up when they are asked for.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_engine::PartitionStatus;

use crate::lane::Sent;

/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 25_000, 50_000, 100_000, 500_000,
    2_000_000,
];

/// What is counted apart. More kinds would be more time series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Route {
    /// Asking for a reservation.
    Reserve = 0,
    /// Everything else a buyer asks for.
    Buyer = 1,
    /// What operators do.
    Admin = 2,
    /// Probes, metrics, pages.
    Other = 3,
}

const ROUTES: [&str; 4] = ["reserve", "buyer", "admin", "other"];

/// Status codes that are counted apart; the last place takes all others.
const STATUSES: [u16; 24] = [
    200, 201, 202, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 429, 431, 500, 503, 204, 301,
    302, 304, 0,
];

/// The counters of one thread.
#[derive(Debug, Default)]
pub(crate) struct ShardMetrics {
    answers: [[AtomicU64; STATUSES.len()]; ROUTES.len()],
    /// Latency of reservations, from the head of the request to its answer.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    latency_us: AtomicU64,
    pub(crate) replays: AtomicU64,
    pub(crate) gate_refusals: AtomicU64,
    records: AtomicU64,
    commands: AtomicU64,
    bytes: AtomicU64,
    waiting: AtomicU64,
    gates_closed: AtomicU64,
    connections: AtomicU64,
}

/// There is one writer, so nothing is lost by not doing it in one step.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

impl ShardMetrics {
    pub(crate) fn note_answer(&self, route: Route, status: u16) {
        let last = STATUSES.len() - 1;
        let at = STATUSES.iter().position(|known| *known == status).unwrap_or(last);
        count(&self.answers[route as usize][at], 1);
    }

    pub(crate) fn note_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        count(&self.buckets[BOUNDS_US.partition_point(|bound| *bound < us)], 1);
        count(&self.latency_us, us);
    }

    pub(crate) fn note_sent(&self, lanes: impl Iterator<Item = Sent>) {
        let mut all = Sent::default();
        for lane in lanes {
            all.records += lane.records;
            all.commands += lane.commands;
            all.bytes += lane.bytes;
        }
        self.records.store(all.records, Ordering::Relaxed);
        self.commands.store(all.commands, Ordering::Relaxed);
        self.bytes.store(all.bytes, Ordering::Relaxed);
    }

    pub(crate) fn note_waiting(&self, waiting: usize, gates_closed: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.gates_closed.store(gates_closed as u64, Ordering::Relaxed);
    }

    pub(crate) fn note_connections(&self, open: usize) {
        self.connections.store(open as u64, Ordering::Relaxed);
    }
}

/// All metrics in the text format of Prometheus.
pub(crate) fn text(
    shards: &[impl AsRef<ShardMetrics>],
    partitions: &[PartitionStatus],
    is_ready: bool,
) -> String {
    let mut out = String::with_capacity(16 << 10);
    let sum = |pick: &dyn Fn(&ShardMetrics) -> &AtomicU64| -> u64 {
        shards.iter().map(|shard| pick(shard.as_ref()).load(Ordering::Relaxed)).sum()
    };
    let mut put = |line: std::fmt::Arguments<'_>| writeln!(out, "{line}").expect("memory takes every line");
    put(format_args!("# HELP holdfast_http_answers_total Answers by kind of request and status code."));
    put(format_args!("# TYPE holdfast_http_answers_total counter"));
    for (route, name) in ROUTES.iter().enumerate() {
        for (at, status) in STATUSES.iter().enumerate() {
            let value = sum(&|shard| &shard.answers[route][at]);
            if value > 0 {
                put(format_args!(
                    "holdfast_http_answers_total{{route=\"{name}\",status=\"{status}\"}} {value}"
                ));
            }
        }
    }
    put(format_args!(
        "# HELP holdfast_http_reserve_seconds Time from the head of a reservation request to its answer."
    ));
    put(format_args!("# TYPE holdfast_http_reserve_seconds histogram"));
    let mut below = 0;
    for (at, bound) in BOUNDS_US.iter().enumerate() {
        below += sum(&|shard| &shard.buckets[at]);
        put(format_args!("holdfast_http_reserve_seconds_bucket{{le=\"{}\"}} {below}", Seconds(*bound)));
    }
    below += sum(&|shard| &shard.buckets[BOUNDS_US.len()]);
    put(format_args!("holdfast_http_reserve_seconds_bucket{{le=\"+Inf\"}} {below}"));
    put(format_args!("holdfast_http_reserve_seconds_sum {}", Seconds(sum(&|shard| &shard.latency_us))));
    put(format_args!("holdfast_http_reserve_seconds_count {below}"));
    let simple: [(&str, &str, &str, u64); 9] = [
        ("replays_total", "counter", "First answers given again.", sum(&|it| &it.replays)),
        ("gate_refusals_total", "counter", "Requests refused without the log.", sum(&|it| &it.gate_refusals)),
        ("log_records_total", "counter", "Command records sent.", sum(&|it| &it.records)),
        ("log_commands_total", "counter", "Commands sent.", sum(&|it| &it.commands)),
        ("log_bytes_total", "counter", "Bytes of command records sent.", sum(&|it| &it.bytes)),
        ("requests_waiting", "gauge", "Requests that wait for a decision.", sum(&|it| &it.waiting)),
        ("gates_closed", "gauge", "Closed sold-out gates, each thread's own.", sum(&|it| &it.gates_closed)),
        ("connections", "gauge", "Open connections.", sum(&|it| &it.connections)),
        ("ready", "gauge", "Whether requests are answered.", u64::from(is_ready)),
    ];
    for (name, kind, help, value) in simple {
        put(format_args!("# HELP holdfast_intake_{name} {help}"));
        put(format_args!("# TYPE holdfast_intake_{name} {kind}"));
        put(format_args!("holdfast_intake_{name} {value}"));
    }
    write_partitions(&mut out, partitions);
    out
}

/// A figure of a partition: name, type, help, value.
type Figure = (&'static str, &'static str, &'static str, fn(&PartitionStatus) -> u64);

const FIGURES: [Figure; 16] = [
    ("live", "gauge", "Whether it answers.", |it| u64::from(it.is_live())),
    ("next_offset", "gauge", "The first command not applied.", |it| it.next_offset.0),
    ("decisions_total", "counter", "Decision records derived.", |it| it.out_seq.0),
    ("unacknowledged", "gauge", "Decision records not yet durable.", |it| it.outputs_unacknowledged as u64),
    ("checkpoint_offset", "gauge", "The first command not in the last checkpoint.", |it| {
        it.checkpoint_offset.0
    }),
    ("checkpoint_bytes", "gauge", "Size of the last checkpoint.", |it| it.checkpoint_bytes),
    ("clock_suspect", "gauge", "Whether log time stands still.", |it| u64::from(it.clock_suspect)),
    ("backlog", "gauge", "Whether due work was carried over.", |it| u64::from(it.backlog)),
    (
        "acknowledged_offset",
        "gauge",
        "The first command whose decision is not known to be in the log.",
        |it| it.acknowledged_offset.0,
    ),
    ("log_end", "gauge", "The offset after the last command in the log.", |it| it.log_end.0),
    ("lag_records", "gauge", "Command records in the log that are not applied.", |it| it.lag_records()),
    ("lag_ms", "gauge", "Age of the oldest command that is not applied, at most.", |it| it.lag_ms),
    ("stuck", "gauge", "Whether something that should go on does not.", |it| u64::from(it.stuck.is_some())),
    ("promotions_total", "counter", "Times a standby became active here.", |it| u64::from(it.promotions)),
    ("handovers_total", "counter", "Times an active worker was taken back here.", |it| {
        u64::from(it.handovers)
    }),
    ("rebuilds_total", "counter", "Times it was built again from checkpoint and log.", |it| {
        u64::from(it.rebuilds)
    }),
];

fn write_partitions(out: &mut String, partitions: &[PartitionStatus]) {
    let mut put = |line: std::fmt::Arguments<'_>| writeln!(out, "{line}").expect("memory takes every line");
    for (name, kind, help, value) in FIGURES {
        put(format_args!("# HELP holdfast_partition_{name} {help}"));
        put(format_args!("# TYPE holdfast_partition_{name} {kind}"));
        for status in partitions {
            put(format_args!(
                "holdfast_partition_{name}{{partition=\"{}\"}} {}",
                status.partition,
                value(status)
            ));
        }
    }
}

/// Microseconds, written as seconds without a floating point number.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn threads_are_added_up_and_buckets_hold_what_is_below() {
        let shards: Vec<Arc<ShardMetrics>> = vec![Arc::default(), Arc::default()];
        shards[0].note_answer(Route::Reserve, 201);
        shards[1].note_answer(Route::Reserve, 201);
        shards[1].note_answer(Route::Other, 299);
        for us in [100, 101, 3_000_000] {
            shards[0].note_latency(Duration::from_micros(us));
        }
        let text = text(&shards, &[], true);
        for line in [
            "holdfast_http_answers_total{route=\"reserve\",status=\"201\"} 2",
            "holdfast_http_answers_total{route=\"other\",status=\"0\"} 1",
            "holdfast_http_reserve_seconds_bucket{le=\"0.000100\"} 1",
            "holdfast_http_reserve_seconds_bucket{le=\"0.000250\"} 2",
            "holdfast_http_reserve_seconds_bucket{le=\"2.000000\"} 2",
            "holdfast_http_reserve_seconds_bucket{le=\"+Inf\"} 3",
            "holdfast_http_reserve_seconds_sum 3.000201",
            "holdfast_intake_ready 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
