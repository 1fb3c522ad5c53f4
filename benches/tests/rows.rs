//! The binary as scripts call it: what it prints, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(binary: &Path, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(binary);
    command.args(arguments).arg("--dir").arg(directory.path());
    command.output().expect("the bench runs")
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object per line")).collect()
}

fn built() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_holdfast-bench"))
}

#[test]
fn a_row_is_one_object_with_its_goal_and_whether_it_was_met() {
    let output = bench(built(), &["spine", "--quick", "--json", "--only", "log_bytes"]);
    assert!(output.status.success(), "{output:?}");
    let rows = rows(&output);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(row["row"], "log_bytes_per_request");
    // What a request needs at the least: its command and its decision carry the id.
    assert!(row["value"].as_f64().is_some_and(|bytes| bytes > 16.0), "{row}");
    assert!(row["met"].is_boolean() && row["goal"] == "<= 64" && row["unit"] == "B", "{row}");
    for field in ["peer", "peer_value", "ratio"] {
        assert!(row.get(field).is_some(), "{field}");
    }
}

#[test]
fn on_a_real_broker_the_sequencer_is_measured_beside_the_bare_client() {
    let output = bench(built(), &["kafka", "--quick", "--json", "--only", "kafka_sequencer_100"]);
    assert!(output.status.success(), "{output:?}");
    let rows = rows(&output);
    let names: Vec<_> = rows.iter().map(|row| row["row"].clone()).collect();
    let all = ["", "_same"].map(|end| [100, 1000].map(|count| format!("kafka_sequencer_{count}{end}")));
    assert_eq!(names.len(), all.as_flattened().len(), "{names:?}");
    assert!(all.as_flattened().iter().all(|name| names.contains(&Value::from(name.as_str()))), "{names:?}");
    for row in rows {
        assert!(row["value"].as_f64().is_some_and(|value| value > 0.0), "{row}");
        assert!(row["peer_value"].as_f64().is_some_and(|peer| peer > 0.0), "{row}");
        assert!(row["detail"]["of_it_the_broker"].as_f64().is_some_and(|cpu| cpu > 0.0), "{row}");
    }
}

#[test]
fn a_row_that_cannot_be_measured_says_why_and_the_end_is_1() {
    // Alone in its directory there is no server beside it.
    let directory = tempfile::tempdir().expect("a directory");
    let alone = directory.path().join("holdfast-bench");
    std::fs::copy(built(), &alone).expect("copied");
    let output = bench(&alone, &["spine", "--quick", "--json", "--only", "alone"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let rows = rows(&output);
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["row"], &rows[0]["met"]), (&Value::from("alone_p50"), &Value::from(false)));
    assert!(
        rows[0]["value"].is_null() && rows[0]["error"].as_str().is_some_and(|why| why.contains("holdfast"))
    );
}

#[test]
fn what_is_unknown_is_refused_with_2() {
    for arguments in
        [&["spine", "--only", "nothing_is_called_so"][..], &["no_group"], &["spine", "--what"], &[]]
    {
        assert_eq!(bench(built(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}
