//! A made-up run of 20 seconds: everybody comes at T0, and the sequencer is killed in the middle. The same every time.

use std::collections::BTreeMap;

use fastrand::Rng;
use hdrhistogram::Histogram;
use holdfast_loadtest::report::hdr;
use holdfast_loadtest::results::{
    CheckRow, FaultMark, Generator, Operation, Requests, Results, SCHEMA, Second, SkuRow, ThresholdRow,
    Verdict,
};

const RULES: [&str; 8] = [
    "oversold",
    "undersold",
    "lost_answers",
    "double_decisions",
    "out_of_order",
    "limit_exceeded",
    "wrong_deadlines",
    "unexpected_answers",
];

/// When the sequencer is killed and when it is back, in seconds.
const KILLED_AT: u64 = 8;
const BACK_AT: u64 = 11;
const UNITS: u64 = 12_000;

/// What is added up while the seconds are made.
struct Made {
    rng: Rng,
    felt: Histogram<u64>,
    took: Histogram<u64>,
    granted: u64,
    confirmed: u64,
    /// Every latency times this.
    slower: f64,
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap()
}

/// A run that went well.
pub(crate) fn herd() -> Results {
    run(1, 20, 1.0)
}

/// The same load on a server that is so many times slower.
pub(crate) fn slower(seed: u64, times: f64) -> Results {
    run(seed, 20, times)
}

/// A run of so many seconds.
pub(crate) fn of_length(seconds: u64) -> Results {
    run(1, seconds, 1.0)
}

/// A run that sold what was not there.
pub(crate) fn oversold() -> Results {
    let mut results = herd();
    results.verdict = Verdict::Wrong;
    results.checks[0].faults = 3;
    results.checks[0].examples = vec![
        "sku-00001: 1,003 units promised of 1,000, the last one to reservation 8c1f".into(),
        "sku-00002: 1,001 units promised of 1,000".into(),
    ];
    results.thresholds[1].is_met = false;
    results.generator.is_limit = true;
    results.generator.warnings = vec![
        "99 of 100 requests were sent within 3.2 ms after they were due, which is more than 1 ms.".into(),
    ];
    results
}

fn second(made: &mut Made, at: u64) -> Second {
    let is_down = (KILLED_AT..BACK_AT).contains(&at);
    let due = 1_000 + (9_000.0 * (-(at as f64) / 3.0).exp()) as u64;
    let failed = if is_down { due / 10 } else { 0 };
    let answered = due - failed;
    let (mut felt, mut took) = (histogram(), histogram());
    for _ in 0..answered {
        let is_herd = at == 0 && made.rng.f64() < 0.2;
        let long = if is_herd {
            40.0
        } else if is_down {
            150.0
        } else {
            1.0
        };
        let took_us = (600.0 * made.slower * -(1.0 - made.rng.f64()).ln()).mul_add(long, 250.0 * made.slower);
        let waited_us = if is_herd { made.rng.f64() * 60_000.0 } else { made.rng.f64() * 120.0 };
        took.record(took_us as u64).unwrap();
        felt.record((took_us + waited_us) as u64).unwrap();
    }
    made.felt.add(&felt).unwrap();
    made.took.add(&took).unwrap();
    let granted = (answered / 2).min(UNITS - made.granted);
    made.granted += granted;
    let confirmed = ((made.granted - made.confirmed) * 2 / 5).min(granted.max(200));
    made.confirmed += confirmed;
    let statuses = [
        ("201", granted),
        ("200", confirmed),
        ("409", answered - granted - confirmed.min(answered - granted)),
        ("503", failed / 2),
    ];
    Second {
        second: at,
        due,
        sent: due,
        answered,
        failed: failed - failed / 2,
        dropped: if at == KILLED_AT + 1 { 40 } else { 0 },
        in_flight: if is_down { 700 } else { 3 + made.rng.u64(..10) },
        statuses: statuses.into_iter().filter(|it| it.1 > 0).map(|(name, n)| (name.into(), n)).collect(),
        felt: hdr::quantiles(&felt),
        took: hdr::quantiles(&took),
        granted_units: granted,
        confirmed_units: confirmed,
        lag_p99: 0.05 + made.rng.f64() * 0.1 + due as f64 / 50_000.0,
        cpu_percent: 18.0 + due as f64 / 150.0 + made.rng.f64() * 4.0,
    }
}

fn run(seed: u64, length: u64, slower: f64) -> Results {
    let mut made = Made {
        rng: Rng::with_seed(seed),
        felt: histogram(),
        took: histogram(),
        granted: 0,
        confirmed: 0,
        slower,
    };
    let seconds: Vec<Second> = (0..length).map(|at| second(&mut made, at)).collect();
    let sum = |of: fn(&Second) -> u64| seconds.iter().map(of).sum::<u64>();
    let requests = Requests {
        due: sum(|it| it.due),
        sent: sum(|it| it.sent),
        answered: sum(|it| it.answered),
        timed_out: sum(|it| it.failed),
        broken: 0,
        dropped: sum(|it| it.dropped),
        bytes_sent: sum(|it| it.sent) * 310,
        bytes_received: sum(|it| it.answered) * 270,
    };
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for (name, answers) in seconds.iter().flat_map(|it| &it.statuses) {
        *statuses.entry(name.clone()).or_default() += answers;
    }
    let answers = |status: &str| statuses.get(status).copied().unwrap_or(0);
    let codes = [("sold_out".to_owned(), answers("409")), ("not_ready".to_owned(), answers("503"))];
    Results {
        schema: SCHEMA,
        scenario: "t0-herd".into(),
        about: "Everybody waits for the sale to open: ten times the usual rate from the first moment.".into(),
        seed,
        model: "open".into(),
        target: "http://127.0.0.1:8080".into(),
        started_ms: 1_795_284_000_000,
        duration_s: length as f64 + 0.4,
        generator: generator(),
        operations: operations(&made, length),
        requests,
        statuses,
        codes: codes.into(),
        skus: skus(&made),
        faults: vec![
            FaultMark {
                at_s: KILLED_AT as f64 + 0.2,
                until_s: Some(BACK_AT as f64 - 0.1),
                what: "kill -9 the sequencer".into(),
            },
            FaultMark { at_s: BACK_AT as f64 + 3.5, until_s: None, what: "freeze broker 2 for 80 ms".into() },
        ],
        checks: RULES.map(|name| CheckRow { name: name.into(), faults: 0, examples: Vec::new() }).into(),
        thresholds: vec![
            ThresholdRow { that: "reserve:p99<500ms".into(), value: Some(311.5), is_met: true },
            ThresholdRow { that: "error_rate<0.02".into(), value: Some(0.0075), is_met: true },
        ],
        verdict: Verdict::Pass,
        seconds,
    }
}

fn generator() -> Generator {
    Generator {
        processes: 1,
        threads: 2,
        connections: 256,
        cpu_percent: 41.0,
        lag: hdr::quantiles(&(1..=400).fold(histogram(), |mut lag, us| {
            lag.record(us).unwrap();
            lag
        })),
        sockets_max: 258,
        ..Generator::default()
    }
}

fn operations(made: &Made, length: u64) -> Vec<Operation> {
    let of = |name: &str, share: f64| Operation {
        name: name.into(),
        answered: (made.felt.len() as f64 * share) as u64,
        per_second: made.felt.len() as f64 * share / length as f64,
        felt: hdr::quantiles(&made.felt),
        took: hdr::quantiles(&made.took),
        felt_histogram: hdr::encode(&made.felt),
        took_histogram: hdr::encode(&made.took),
    };
    vec![of("all", 1.0), of("reserve", 0.7), of("confirm", 0.2), of("look", 0.1)]
}

fn skus(made: &Made) -> Vec<SkuRow> {
    let of = |at: u64| {
        let (granted, confirmed) = (made.granted / 12, made.confirmed / 12);
        SkuRow {
            sku: format!("sku-{at:05}"),
            units: UNITS / 12,
            asked: 3_000 - 150 * at,
            granted,
            confirmed,
            sold_out: (3_000 - 150 * at).saturating_sub(granted),
            free: Some(UNITS / 12 - granted),
            held: Some(granted - confirmed),
            committed: Some(confirmed),
        }
    };
    (1..=12).map(of).collect()
}
