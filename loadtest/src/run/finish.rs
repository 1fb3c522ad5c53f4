//! From what was measured and judged to the results.

use std::time::Duration;

use super::tally::Tally;
use super::{Play, Played};
use crate::drive::Kind;
use crate::generator::Latencies;
use crate::report::error_rate;
use crate::report::hdr::{encode, quantiles};
use crate::results::{CheckRow, Generator, Operation, Results, SCHEMA, SkuRow, ThresholdRow, Verdict};

/// More than that and a verdict is told with a warning.
const ERRORS_MAX: f64 = 0.05;

impl Play<'_> {
    pub(super) fn results(&self, played: &Played, checks: Vec<CheckRow>, skus: Vec<SkuRow>) -> Results {
        let scenario = &self.cast.scenario;
        let mut results = Results {
            scenario: self.config.name(),
            about: scenario.about.clone(),
            seed: scenario.seed,
            model: scenario.model.name().to_owned(),
            target: self.target.base.clone(),
            started_ms: played.started_ms,
            generator: played.generator.clone(),
            seconds: played.tally.seconds.clone(),
            skus,
            faults: played.faults.clone(),
            checks,
            ..so_far(&played.tally, played.duration)
        };
        results.generator.warnings.extend(unanswered(&results));
        results.thresholds = self.thresholds.iter().map(|it| it.hold_against(&results)).collect();
        results.verdict = verdict(&results.checks, &results.thresholds, played.is_aborted);
        results
    }
}

/// Says so if so much was not answered that the rules had little to go by.
fn unanswered(results: &Results) -> Option<String> {
    let share = error_rate(results);
    (share > ERRORS_MAX).then(|| {
        format!(
            "{:.1} % of all requests were not answered, or with a 5xx: that no rule is broken is said of the others only",
            share * 100.0
        )
    })
}

/// What was measured, and nothing of what was judged.
pub(super) fn so_far(tally: &Tally, elapsed: Duration) -> Results {
    Results {
        schema: SCHEMA,
        scenario: String::new(),
        about: String::new(),
        seed: 0,
        model: String::new(),
        target: String::new(),
        started_ms: 0,
        duration_s: elapsed.as_secs_f64(),
        generator: Generator { lag: quantiles(&tally.lag), ..Generator::default() },
        requests: tally.requests(),
        operations: operations(tally, elapsed.as_secs_f64()),
        statuses: tally.statuses(),
        codes: tally.codes.clone(),
        seconds: Vec::new(),
        skus: Vec::new(),
        faults: Vec::new(),
        checks: Vec::new(),
        thresholds: Vec::new(),
        verdict: Verdict::Pass,
    }
}

/// What is wrong weighs more than what is slow, and both more than that somebody ended it.
fn verdict(checks: &[CheckRow], thresholds: &[ThresholdRow], is_aborted: bool) -> Verdict {
    if checks.iter().any(|it| it.faults > 0) {
        Verdict::Wrong
    } else if thresholds.iter().any(|it| !it.is_met) {
        Verdict::Threshold
    } else if is_aborted {
        Verdict::Aborted
    } else {
        Verdict::Pass
    }
}

/// All together first, then those kinds that there were.
fn operations(tally: &Tally, seconds: f64) -> Vec<Operation> {
    let kinds = Kind::ALL.iter().zip(&tally.latencies).filter(|(_, it)| !it.sent.is_empty());
    let mut operations = vec![operation("all", &tally.all_latencies(), seconds)];
    operations.extend(kinds.map(|(kind, latencies)| operation(kind.name(), latencies, seconds)));
    operations
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests have fewer digits than fit")]
fn operation(name: &str, latencies: &Latencies, seconds: f64) -> Operation {
    let (felt, took) = (quantiles(&latencies.intended), quantiles(&latencies.sent));
    Operation {
        name: name.to_owned(),
        answered: felt.count,
        per_second: if seconds > 0.0 { felt.count as f64 / seconds } else { 0.0 },
        felt,
        took,
        felt_histogram: encode(&latencies.intended),
        took_histogram: encode(&latencies.sent),
    }
}
