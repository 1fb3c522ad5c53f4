//! The files of a run.

use std::fs;
use std::path::PathBuf;

use holdfast_loadtest::report::{self, ReportError, hdr};
use holdfast_loadtest::results::{Results, SCHEMA};
use tempfile::TempDir;

use super::sample;

fn written(results: &Results) -> Vec<u8> {
    let mut out = Vec::new();
    report::write_json(results, &mut out).unwrap();
    out
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.json");
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

#[test]
fn results_are_read_back_as_they_were() {
    let results = sample::herd();
    let (_directory, path) = file(&written(&results));
    assert!(report::read_json(&path).unwrap() == results, "what was read is not what was written");
}

#[test]
fn another_form_is_refused_whatever_is_in_it() {
    let (_directory, path) = file(br#"{ "schema": 7, "whatever": [] }"#);
    let error = report::read_json(&path).unwrap_err();
    assert!(matches!(error, ReportError::OtherSchema { found: 7, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("run.json") && text.contains(&format!("reads schema {SCHEMA}")), "{text}");

    for no_results in [&b"{ \"schema\": 1 }"[..], b"[]", b"", b"{ \"schema\": 1"] {
        let (_directory, path) = file(no_results);
        assert!(matches!(report::read_json(&path), Err(ReportError::NotResults { .. })));
    }
    let nowhere = PathBuf::from("no/such/run.json");
    assert!(matches!(report::read_json(&nowhere), Err(ReportError::Read { .. })));
}

#[test]
fn the_table_has_a_line_for_each_second_and_a_column_for_each_status() {
    let mut results = sample::herd();
    results.seconds[2].felt.count = 0;
    results.faults[0].what = "kill -9, \"hard\"".into();
    let mut out = Vec::new();
    report::csv(&results, &mut out).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    let names = reader.headers().unwrap().clone();
    let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(lines.len(), 20);
    let cell = |line: usize, name: &str| {
        let column = names.iter().position(|it| it == name).unwrap_or_else(|| panic!("no column {name}"));
        lines[line][column].to_owned()
    };
    for (line, second) in results.seconds.iter().enumerate() {
        assert_eq!(cell(line, "due"), second.due.to_string());
        assert_eq!(cell(line, "status_503"), second.statuses.get("503").copied().unwrap_or(0).to_string());
        assert_eq!(cell(line, "granted_units"), second.granted_units.to_string());
    }
    assert_eq!(cell(8, "faults"), "kill -9, \"hard\"");
    assert_eq!(cell(9, "faults"), "");
    assert_eq!(cell(2, "felt_p99_ms"), "", "nothing was measured");
    assert_eq!(cell(2, "took_p99_ms"), results.seconds[2].took.p99.to_string());
}

#[test]
fn the_percentile_text_is_what_a_plotter_reads() {
    let mut histogram = sample::histogram();
    (1..=1_000).for_each(|ms| histogram.record(ms * 1_000).unwrap());
    let mut out = Vec::new();
    report::hgrm(&histogram, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    );
    assert_eq!(lines[1], "");
    let (figures, foot): (Vec<&str>, Vec<&str>) = lines[2..].iter().partition(|it| !it.starts_with('#'));
    let rows: Vec<Vec<f64>> =
        figures.iter().map(|it| it.split_whitespace().map(|it| it.parse().unwrap()).collect()).collect();
    let (last, others) = rows.split_last().unwrap();
    assert_eq!(last[1..], [1.0, 1_000.0], "the last line has no fourth column");
    for row in others {
        let [value, percentile, total, rarity] = row[..] else { panic!("{row:?}") };
        assert!((rarity * (1.0 - percentile) - 1.0).abs() < 0.01, "{row:?}");
        assert!((value - total).abs() <= 1.0, "the n-th of these is n ms: {row:?}");
    }
    assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[2] <= b[2]));
    assert_eq!(foot.len(), 3);
    assert!(foot[1].contains("Total count    =         1000"), "{}", foot[1]);
}

#[test]
fn histograms_of_results_say_what_their_figures_say() {
    for operation in sample::herd().operations {
        assert_eq!(hdr::quantiles(&hdr::decode(&operation.felt_histogram).unwrap()), operation.felt);
    }
}
