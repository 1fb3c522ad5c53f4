//! What matters can be read on every terminal that is large enough for it.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::rates::marks_under;
use super::*;
use crate::live::tests::{counts, running, second};
use crate::results::FaultMark;

fn scene<'a>(now: &'a Snapshot, messages: &'a [String]) -> Scene<'a> {
    Scene { now, messages, palette: Palette::Colours, keys: Keys::Read }
}

fn drawn(width: u16, height: u16, scene: &Scene<'_>) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, scene)).unwrap();
    terminal.backend().clone()
}

#[track_caller]
fn contains(screen: &TestBackend, texts: &[&str]) {
    let all = screen.to_string();
    for text in texts {
        assert!(all.contains(text), "no {text:?} in\n{all}");
    }
}

fn eventful() -> Snapshot {
    let mut now = running();
    now.faults.push(FaultMark { at_s: 2.5, until_s: Some(5.0), what: "sequencer frozen".to_owned() });
    now.warnings.push("all 64 connections were busy in 3 of 7 seconds: raise `connections`".to_owned());
    now.requests.dropped = 1_316;
    now
}

#[test]
fn a_usual_terminal_shows_everything() {
    let now = eventful();
    let screen = drawn(80, 24, &scene(&now, &["the sale is put up".to_owned()]));
    let head = "t0-herd  running  7 of 60 s  q stops  http://127.0.0.1:8080";
    let rates =
        ["due         10,000/s", "sent         9,812/s", "answered     9,801/s", "in flight       12  "];
    let latency = ["p50", "p99.9", "so far       1.2      8.4     14.0     20.5"];
    let stock = ["sold 873 of 1,000  held 20  left 107", "▒", "░"];
    let answers = ["422      67,714  98.7 % ███", "201         893   1.3 %"];
    let errors = ["67,714  sold_out", "1,316  (never sent)"];
    let told =
        ["▲ 2.5 s until 5.0 s sequencer frozen", "! all 64 connections were busy", "so far 70,000 due"];
    contains(&screen, &[head]);
    for texts in [&rates[..], &latency, &stock, &answers, &errors, &told] {
        contains(&screen, texts);
    }
}

#[test]
fn a_large_terminal_shows_what_was_said_too() {
    let now = eventful();
    let screen = drawn(200, 60, &scene(&now, &["the sale is put up".to_owned()]));
    contains(
        &screen,
        &[
            "the sale is put up",
            "67,714  98.7 %",
            "   ▲──",
            "so far 70,000 due, 68,684 sent, 68,607 answered",
        ],
    );
}

#[test]
fn a_small_terminal_shows_the_figures() {
    let now = eventful();
    let screen = drawn(40, 10, &scene(&now, &[]));
    contains(
        &screen,
        &["t0-herd  running  7 of 60 s", "due 10,000/s  sent 9,812/s", "answered 9,801/s  in flight 12"],
    );
    contains(
        &screen,
        &["p50 1.2  p99 8.4  p99.9 14.0 ms", "201 893  422 67,714", "sold 873 of 1,000", "! all 64"],
    );
}

#[test]
fn no_size_is_too_small_and_no_run_too_young() {
    let full = eventful();
    let young = Snapshot::default();
    for now in [&full, &young] {
        for (width, height) in
            [(1, 1), (2, 40), (200, 2), (40, 10), (63, 60), (64, 20), (65, 21), (200, 60), (400, 100)]
        {
            let screen = drawn(width, height, &scene(now, &["a message".to_owned()]));
            assert_eq!(screen.buffer().area.width, width);
        }
    }
    contains(&drawn(80, 24, &scene(&young, &[])), &["preparing", "not known of this target"]);
}

#[test]
fn overselling_leaps_to_the_eye() {
    let stock = Stock { units: 1_000, sold: 1_003, held: 1 };
    let now = Snapshot { stock: Some(stock), ..running() };
    for (width, height) in [(80, 24), (60, 15)] {
        contains(&drawn(width, height, &scene(&now, &[])), &["sold 1,003 of 1,000  OVERSOLD by 3"]);
    }
}

#[test]
fn without_colours_there_are_none() {
    let now = eventful();
    let plain = Scene { palette: Palette::Plain, ..scene(&now, &[]) };
    let has_colour =
        |screen: &TestBackend| screen.buffer().content.iter().any(|cell| cell.fg != Color::Reset);
    for (width, height) in [(80, 24), (40, 10)] {
        assert!(!has_colour(&drawn(width, height, &plain)));
        assert!(has_colour(&drawn(width, height, &scene(&now, &[]))));
    }
}

#[test]
fn the_hint_says_what_keys_do() {
    let now = running();
    for (keys, says, hint) in
        [(Keys::Unread, false, "q stops"), (Keys::Read, true, "q stops"), (Keys::Stop, true, "stopping")]
    {
        let screen = drawn(80, 24, &Scene { keys, ..scene(&now, &[]) });
        assert_eq!(screen.to_string().contains(hint), says, "{keys:?}");
    }
}

#[test]
fn what_does_not_fit_is_summed_up() {
    let counts = counts(&[("a", 5), ("b", 9), ("c", 1), ("d", 0), ("e", 2)]);
    let of = |rows| most_first(counts.iter().map(|(name, number)| (name.as_str(), *number)), rows);
    assert_eq!(of(4), (vec![("b", 9), ("a", 5), ("e", 2), ("c", 1)], None));
    assert_eq!(of(3), (vec![("b", 9), ("a", 5)], Some("and 2 others, 3 times".to_owned())));
    assert_eq!(of(0), (vec![], Some("and 4 others, 17 times".to_owned())));
}

#[test]
fn the_newest_is_told_and_warnings_before_all() {
    let mut now = running();
    now.warnings.push("mind".to_owned());
    let messages: Vec<_> = (0..9).map(|number| format!("message {number}")).collect();
    let lines = told(&scene(&now, &messages), Rect::new(0, 0, 30, 3));
    let texts: Vec<_> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["message 7", "message 8", "! mind"]);
}

#[test]
fn faults_are_marked_under_their_seconds() {
    let seconds: Vec<_> = (10..18).map(second).collect();
    let fault = |at_s, until_s| FaultMark { at_s, until_s, what: String::new() };
    assert_eq!(marks_under(&seconds, &[]), "        ");
    assert_eq!(marks_under(&seconds, &[fault(11.9, Some(14.0))]), " ▲──    ");
    assert_eq!(marks_under(&seconds, &[fault(3.0, Some(11.5)), fault(16.0, None)]), "──    ▲─");
    assert_eq!(marks_under(&seconds, &[fault(15.2, Some(15.4))]), "     ▲  ");
}
