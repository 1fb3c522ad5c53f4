//! Lines say what a second was, and a screen leaves the terminal as it was.

mod terminal;

use std::sync::{Arc, Mutex};

use super::words::{cells, grouped, ms, one_line, percent, wrapped};
use super::*;

/// What has been written so far.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn view(&self) -> View {
        View::lines_to(Box::new(self.clone()))
    }

    /// What was written since the last time.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

pub(super) fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

fn felt() -> Quantiles {
    Quantiles { count: 9_801, mean: 2.0, p50: 1.2, p90: 5.0, p99: 8.4, p999: 14.0, max: 20.5 }
}

pub(super) fn second(number: u64) -> Second {
    Second {
        second: number,
        due: 10_000,
        sent: 9_812,
        answered: 9_801,
        in_flight: 12,
        statuses: counts(&[("201", 412), ("422", 9_389)]),
        felt: felt(),
        ..Second::default()
    }
}

/// A sale after seven seconds.
pub(super) fn running() -> Snapshot {
    Snapshot {
        scenario: "t0-herd".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        phase: Phase::Running,
        elapsed_s: 7,
        planned_s: 60,
        seconds: (0..7).map(second).collect(),
        requests: Requests { due: 70_000, sent: 68_684, answered: 68_607, ..Requests::default() },
        felt: felt(),
        statuses: counts(&[("201", 893), ("422", 67_714)]),
        codes: counts(&[("sold_out", 67_714)]),
        stock: Some(Stock { units: 1_000, sold: 873, held: 20 }),
        ..Snapshot::default()
    }
}

#[test]
fn a_second_is_one_line() {
    let whole = "   7 s  sent 9,812/s  answered 9,801/s  in flight 12  p50 1.2 ms  p99 8.4 ms  p99.9 14.0 ms  201 412  \
                 422 9,389";
    let bad = Second { failed: 3, dropped: 1_234, ..second(6) };
    let empty = Second { second: 99, ..Second::default() };
    let cases = [
        (second(6), whole.to_owned()),
        (bad, whole.replace("in flight 12", "in flight 12  failed 3  dropped 1,234")),
        (empty, " 100 s  sent 0/s  answered 0/s  in flight 0".to_owned()),
    ];
    for (second, text) in cases {
        assert_eq!(line::of_second(&second), text);
    }
}

#[test]
fn each_second_is_told_of_once_and_what_is_sold_with_the_newest() {
    let paper = Paper::default();
    let mut view = paper.view();
    let mut now = running();
    now.seconds.truncate(2);
    view.show(&now);
    let text = paper.take();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "t0-herd: running");
    assert!(lines[1].starts_with("   1 s  ") && lines[1].ends_with("422 9,389"), "{text}");
    assert!(lines[2].starts_with("   2 s  ") && lines[2].ends_with("  sold 873 of 1,000"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");

    view.show(&now);
    assert_eq!(paper.take(), "");
    now.seconds.push(second(2));
    now.stock = None;
    view.show(&now);
    let text = paper.take();
    assert!(text.starts_with("   3 s  ") && text.ends_with("422 9,389\n"), "{text}");
}

#[test]
fn phases_faults_and_warnings_are_told_of_once() {
    let paper = Paper::default();
    let mut view = paper.view();
    let mut now = Snapshot { seconds: Vec::new(), ..running() };
    for phase in [Phase::Preparing, Phase::Waiting, Phase::Waiting] {
        view.show(&Snapshot { phase, ..now.clone() });
    }
    assert_eq!(paper.take(), "t0-herd: preparing\nt0-herd: waiting for T0\n");
    view.show(&now);
    paper.take();
    now.faults.push(FaultMark { at_s: 3.04, until_s: None, what: "kill -9 of the sequencer".to_owned() });
    now.warnings.push("all 64 connections were busy in 1 of 3 seconds".to_owned());
    view.show(&now);
    now.warnings[0] = "all 64 connections were busy in 2 of 4 seconds".to_owned();
    view.show(&now);
    let text =
        " 3.0 s  fault: kill -9 of the sequencer\nwarning: all 64 connections were busy in 1 of 3 seconds\n";
    assert_eq!(paper.take(), text);
}

#[test]
fn what_is_said_stays_on_its_line_and_nobody_can_stop_lines() {
    let paper = Paper::default();
    let mut view = paper.view();
    view.say("a broker\nis \u{1b}[31mgone");
    assert_eq!(paper.take(), "a broker is  [31mgone\n");
    assert!(!view.wants_stop());
    view.finish();
    assert_eq!(paper.take(), "");
}

#[test]
fn the_quiet_say_nothing() {
    let mut view = View::new(Face::Quiet);
    assert!(matches!(view, View::Quiet));
    view.show(&running());
    view.say("nothing");
    assert!(!view.wants_stop());
    view.finish();
}

#[test]
fn figures_are_written_as_people_read_them() {
    for (number, text) in
        [(0, "0"), (999, "999"), (1_000, "1,000"), (67_714, "67,714"), (1_234_567, "1,234,567")]
    {
        assert_eq!(grouped(number), text);
    }
    for (time, text) in [(0.04, "0.0"), (8.44, "8.4"), (999.9, "999.9"), (12_345.6, "12346")] {
        assert_eq!(ms(time), text);
    }
    assert_eq!(percent(1, 3), "33.3 %");
    assert_eq!(percent(0, 0), "0.0 %");
    assert_eq!(one_line("a\tb"), "a b");
}

#[test]
fn bars_stay_in_their_place() {
    for (part, whole, width, bar) in
        [(0, 0, 10, 0), (1, 2, 10, 5), (3, 2, 10, 10), (u64::MAX, u64::MAX, u16::MAX, 65_535)]
    {
        assert_eq!(cells(part, whole, width), bar, "{part} of {whole}");
    }
}

#[test]
fn long_messages_are_broken_at_words() {
    assert_eq!(wrapped("all 64 connections were busy", 10), ["all 64", "connection", "s were", "busy"]);
    assert_eq!(wrapped("abc", 3), ["abc"]);
    assert_eq!(wrapped("ab c", 0), ["a", "b", "c"]);
    assert!(wrapped("  ", 5).is_empty());
}

#[test]
fn stock_that_is_oversold_leaves_nothing() {
    assert_eq!(Stock { units: 10, sold: 4, held: 3 }.left(), 3);
    assert_eq!(Stock { units: 10, sold: 9, held: 3 }.left(), 0);
}

#[test]
fn every_phase_has_a_name_of_its_own() {
    let phases =
        [Phase::Preparing, Phase::Waiting, Phase::Running, Phase::Draining, Phase::Auditing, Phase::Done];
    let names: std::collections::BTreeSet<_> = phases.iter().map(|phase| phase.name()).collect();
    assert_eq!(names.len(), phases.len());
}
