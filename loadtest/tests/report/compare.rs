//! Two runs beside each other.

use std::fs;
use std::path::Path;

use holdfast_loadtest::compare::{Change, CompareArgs, CompareError, Comparison, FailIf, Outcome, compare};
use holdfast_loadtest::report;
use holdfast_loadtest::results::Results;

use super::browser::{PICTURES, Page, number, told};
use super::sample;

fn compared(a: &Results, b: &Results, conditions: &[&str]) -> Comparison {
    let conditions: Vec<FailIf> = conditions.iter().map(|it| it.parse().unwrap()).collect();
    compare(a, b, &conditions).unwrap()
}

fn change(comparison: &Comparison, operation: &str, metric: &str) -> Change {
    let is_it = |row: &&_| {
        let row: &holdfast_loadtest::compare::Row = row;
        row.operation == operation && row.metric.to_string() == metric
    };
    comparison.rows.iter().find(is_it).unwrap().change
}

fn write(results: &Results, path: &Path) {
    report::write_json(results, &mut fs::File::create(path).unwrap()).unwrap();
}

#[test]
fn noise_is_told_from_change() {
    let before = sample::herd();
    let again = compared(&before, &sample::slower(2, 1.0), &[]);
    for metric in ["p50", "p99", "took_p50", "rate", "error_rate"] {
        assert_eq!(change(&again, "all", metric), Change::Noise, "{metric}\n{}", again.table());
    }
    // The herd of the first second is in both runs and is no noise.
    let rate = again.rows.iter().find(|it| it.metric.to_string() == "rate").unwrap();
    assert!(rate.interval.unwrap().high < 0.01 * rate.a.unwrap(), "{rate:?}");
    let slow = compared(&before, &sample::slower(2, 1.3), &[]);
    for metric in ["p50", "p99", "mean", "took_p50"] {
        assert_eq!(change(&slow, "all", metric), Change::Higher, "{metric}\n{}", slow.table());
    }
    let fast = compared(&sample::slower(2, 1.3), &before, &[]);
    assert_eq!(change(&fast, "reserve", "p50"), Change::Lower);
    assert_eq!(slow, compared(&before, &sample::slower(2, 1.3), &[]), "the same every time");
}

#[test]
fn an_interval_holds_the_change_it_is_of() {
    for row in compared(&sample::herd(), &sample::slower(2, 1.3), &[]).rows {
        let Some(interval) = row.interval else { continue };
        let delta = row.delta.unwrap();
        assert!(interval.low <= delta && delta <= interval.high, "{row:?}");
    }
}

#[test]
fn runs_that_cannot_be_compared_are_compared_with_a_warning() {
    let (a, mut b) = (sample::herd(), sample::oversold());
    b.scenario = "zipf".into();
    b.seed = 9;
    let warnings = compared(&a, &b, &[]).warnings.join("\n");
    for word in ["t0-herd and zipf", "1 and 9", "B broke a rule", "B was limited by its generator"] {
        assert!(warnings.contains(word), "{warnings} does not say {word}");
    }
    assert!(compared(&a, &a, &[]).warnings.is_empty());
}

#[test]
fn what_one_run_did_not_measure_cannot_be_asked_for() {
    let (a, mut b) = (sample::herd(), sample::herd());
    b.operations.retain(|it| it.name != "look");
    assert!(compared(&a, &b, &[]).rows.iter().any(|it| it.operation == "look" && it.b.is_none()));
    let asked = ["look:p99>+1%".parse().unwrap()];
    assert!(
        matches!(compare(&a, &b, &asked), Err(CompareError::NotMeasured { that }) if that == "look:p99>+1%")
    );
}

#[test]
fn the_command_tells_and_exits_by_what_it_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write(&sample::herd(), &path("a.json"));
    write(&sample::slower(1, 1.3), &path("b.json"));
    let run = |fail_if: &[&str]| {
        let args = CompareArgs {
            a: path("a.json"),
            b: path("b.json"),
            fail_if: fail_if.iter().map(ToString::to_string).collect(),
            html: Some(path("both.html")),
            json: false,
        };
        args.compare()
    };

    let comparison = run(&["p99>+500%"]).unwrap();
    let text = comparison.table();
    assert_eq!(comparison.outcome(), Outcome::Fine);
    assert!(text.contains("all p99, ms") && text.contains("p99>+500%: fine"), "{text}");

    let comparison = run(&["p50>+10%", "error_rate>+0.01"]).unwrap();
    assert_eq!(comparison.outcome(), Outcome::TooMuch);
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["conditions"][0]["holds"], true);
    assert_eq!(json["conditions"][1]["holds"], false);
    assert_eq!(json["rows"][0]["metric"], "rate");

    for conditions in [["p98>+1%"], ["pay:p99>+1%"]] {
        assert!(run(&conditions).is_err());
    }
    fs::write(path("b.json"), "{}").unwrap();
    assert!(run(&[]).is_err());

    let html = fs::read_to_string(path("both.html")).unwrap();
    if let Some(place) = std::env::var_os(PICTURES) {
        fs::write(Path::new(&place).join("comparison.html"), &html).unwrap();
    }
    let dom = Page::new(&html).dom();
    assert_eq!((told(&dom, "errors"), number(&dom, "charts")), (None, 2));
    assert!(dom.contains("A change is too much"));
}
