//! The verdict of a sale, for people and for programs.

mod counts;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::config::DemoConfig;
use crate::books::{Answer, Ask, Moment};
use crate::checks::{CHECKS, Check, History};
use crate::http::Availability;
use counts::Counts;

/// So many faults of each kind are told in words.
const TOLD_MAX: usize = 5;

/// When the parts of a sale were over.
pub(super) struct Times {
    pub(super) opened: Moment,
    pub(super) sold: Moment,
    pub(super) ended: Moment,
    pub(super) audited: Moment,
}

/// One death of the server.
pub(super) struct Kill {
    pub(super) at: Moment,
    pub(super) ready: Moment,
    pub(super) in_flight: usize,
    pub(super) promised: u64,
    pub(super) sold: u64,
}

/// What a sale came to.
#[derive(Debug, Serialize)]
pub struct Report {
    exact: bool,
    verdict: Verdict,
    counts: Counts,
    kills: Vec<KillFigures>,
    latency: LatencyFigures,
    durations_ms: Durations,
    server: ServerFigures,
    config: Settings,
    /// Some of the faults, in words.
    faults: Vec<String>,
}

/// Faults of each kind, from what buyers were told. All are 0 in an exact sale.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    oversold: usize,
    undersold: usize,
    lost_answers: usize,
    double_decisions: usize,
    out_of_order: usize,
    limit_exceeded: usize,
    wrong_deadlines: usize,
    unexpected_answers: usize,
    ledger: usize,
}

#[derive(Debug, Serialize)]
struct KillFigures {
    at_ms: u64,
    units_promised: u64,
    units_sold: u64,
    /// Requests that were under way.
    in_flight: usize,
    /// From the kill until the server said that it was ready again.
    ready_after_ms: u64,
    /// From the kill until a buyer had an answer again.
    first_answer_after_ms: Option<u64>,
    /// Answers that buyers had been given by then; all were asked for again.
    answered_before: usize,
    /// Requests that were decided before, whose buyers heard of it afterwards only.
    decided_unheard: usize,
}

/// As measured by the buyers, from the sending of a request to the last byte of its answer.
#[derive(Debug, Serialize)]
struct LatencyFigures {
    reserve: Percentiles,
    confirm_release: Percentiles,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    count: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

#[derive(Debug, Serialize)]
struct Durations {
    sale: u64,
    audit: u64,
}

/// What the server says of itself. It is no part of the verdict but must agree with it.
#[derive(Debug, Serialize)]
struct ServerFigures {
    available: u64,
    held: u64,
    committed: u64,
    agrees: bool,
    ended_in_order: bool,
}

#[derive(Debug, Serialize)]
struct Settings {
    buyers: u32,
    units: u32,
    seed: u64,
    connections: u32,
    kills: u32,
    hold_ttl_ms: u64,
    /// The largest difference seen between the wall clock and the monotonic one.
    clock_moved_ms: u64,
    /// Whether deadlines could be compared with the buyers' instants.
    deadlines_checked: bool,
}

impl Report {
    pub(super) fn new(
        config: &DemoConfig,
        history: &History,
        kills: &[Kill],
        times: &Times,
        counted: Availability,
        ended_in_order: bool,
        clock_moved_ms: u64,
    ) -> Self {
        let (verdict, mut faults) = Verdict::of(history);
        let counts = Counts::of(history);
        let server = ServerFigures {
            available: counted.available,
            held: counted.held,
            committed: counted.committed,
            agrees: counted.available + counted.held + counted.committed == u64::from(config.units)
                && counted.committed == counts.units_sold,
            ended_in_order,
        };
        let all_killed = kills.len() == usize::try_from(config.kills).unwrap_or(usize::MAX);
        let besides = [
            (server.agrees, "the server counts otherwise than it told its buyers"),
            (ended_in_order, "the server did not end in good order when it was told to"),
            (all_killed, "the server was not killed as often as planned"),
        ];
        faults.extend(besides.iter().filter(|(good, _)| !good).map(|(_, what)| (*what).to_owned()));
        let exact = verdict.is_clean() && besides.iter().all(|(good, _)| *good);
        Self {
            exact,
            verdict,
            counts,
            kills: kills.iter().map(|it| KillFigures::of(it, history, times)).collect(),
            latency: LatencyFigures::of(history),
            durations_ms: Durations {
                sale: millis(times.sold.since(times.opened)),
                audit: millis(times.audited.since(times.ended)),
            },
            server,
            config: Settings {
                buyers: config.buyers,
                units: config.units,
                seed: config.seed,
                connections: config.connections,
                kills: config.kills,
                hold_ttl_ms: millis(config.hold_ttl),
                clock_moved_ms,
                deadlines_checked: history.facts.clock_trusted,
            },
            faults,
        }
    }

    /// Whether everything was as it must be: no fault of any kind, all units sold, the server killed as planned and in
    /// agreement with what it had told.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers, words and lists of them are always JSON")
    }
}

/// Writes the table; with `json`, one line of JSON behind it.
///
/// # Errors
/// What `out` says.
pub fn show(report: &Report, json: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", report.table())?;
    if json {
        writeln!(out, "{}", report.json())?;
    }
    out.flush()
}

impl Verdict {
    fn of(history: &History) -> (Self, Vec<String>) {
        let mut verdict = Self::default();
        let mut told = Vec::new();
        for (check, judge) in CHECKS {
            let faults = judge(history);
            *verdict.slot(check) = faults.len();
            told.extend(faults.into_iter().take(TOLD_MAX).map(|fault| format!("{check:?}: {fault}")));
        }
        (verdict, told)
    }

    fn slot(&mut self, check: Check) -> &mut usize {
        match check {
            Check::Oversold => &mut self.oversold,
            Check::Undersold => &mut self.undersold,
            Check::LostAnswers => &mut self.lost_answers,
            Check::DoubleDecisions => &mut self.double_decisions,
            Check::OutOfOrder => &mut self.out_of_order,
            Check::LimitExceeded => &mut self.limit_exceeded,
            Check::WrongDeadlines => &mut self.wrong_deadlines,
            Check::UnexpectedAnswers => &mut self.unexpected_answers,
            Check::Ledger => &mut self.ledger,
        }
    }

    fn is_clean(&self) -> bool {
        self.rows().iter().all(|row| row.1 == 0)
    }

    fn rows(&self) -> [(&'static str, usize); 9] {
        [
            ("oversold", self.oversold),
            ("undersold", self.undersold),
            ("lost answers", self.lost_answers),
            ("double decisions", self.double_decisions),
            ("out of order", self.out_of_order),
            ("limit exceeded", self.limit_exceeded),
            ("wrong deadlines", self.wrong_deadlines),
            ("unexpected answers", self.unexpected_answers),
            ("ledger", self.ledger),
        ]
    }
}

impl KillFigures {
    fn of(kill: &Kill, history: &History, times: &Times) -> Self {
        let replies = || {
            let of_entries = history.entries.iter().flat_map(|it| it.replies.iter().chain(&it.strangers));
            of_entries.chain(history.holds.iter().flat_map(|it| &it.replies))
        };
        let heard = |answer: &Answer| *answer != Answer::Silence;
        let first_answer =
            replies().filter(|it| it.sent >= kill.at && heard(&it.answer)).map(|it| it.received).min();
        let unheard = history.entries.iter().filter_map(|it| it.of_the_sale());
        Self {
            at_ms: millis(kill.at.since(times.opened)),
            units_promised: kill.promised,
            units_sold: kill.sold,
            in_flight: kill.in_flight,
            ready_after_ms: millis(kill.ready.since(kill.at)),
            first_answer_after_ms: first_answer.map(|it| millis(it.since(kill.at))),
            answered_before: replies().filter(|it| it.received < kill.at && heard(&it.answer)).count(),
            decided_unheard: unheard.filter(|it| it.before <= kill.at && it.first_told > kill.at).count(),
        }
    }
}

impl LatencyFigures {
    fn of(history: &History) -> Self {
        let of_entries = history.entries.iter().flat_map(|it| it.replies.iter().chain(&it.strangers));
        let of_holds = history.holds.iter().flat_map(|it| &it.replies);
        let (mut reserve, mut settle) = (histogram(), histogram());
        for reply in of_entries.chain(of_holds) {
            if reply.sent >= history.facts.ended || reply.answer == Answer::Silence {
                continue;
            }
            let micros = u64::try_from(reply.received.since(reply.sent).as_micros()).unwrap_or(u64::MAX);
            match reply.ask {
                Ask::Reserve { .. } => reserve.saturating_record(micros),
                Ask::Confirm { .. } | Ask::Release { .. } => settle.saturating_record(micros),
                Ask::Read { .. } => {}
            }
        }
        Self { reserve: Percentiles::of(&reserve), confirm_release: Percentiles::of(&settle) }
    }
}

/// Three digits, up to a minute in microseconds.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are valid")
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
