//! The clients of others: Java's and Python's, run as programs of their own against a real broker.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use holdfast_kafka_kit::Brokers;
use serde_json::Value;

/// Whose client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Java,
    Python,
}

pub(crate) const LANGUAGES: [Language; 2] = [Language::Java, Language::Python];

/// A purchase request, as a line of the examples' stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: [u8; 16],
    pub(crate) customer: u64,
    pub(crate) sku: String,
    pub(crate) quantity: u32,
}

/// Where a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) sku: String,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

/// The checkout that the running test belongs to.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the test");
    Path::new(&package).parent().expect("the package lies in the checkout").to_owned()
}

/// Python with the libraries that `scripts/setup` installs.
fn python(script: &Path) -> Command {
    let home = |rest| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(rest);
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home(".cache"), PathBuf::from);
    let deps = std::env::var_os("HOLDFAST_DEPS").map_or_else(|| cache.join("holdfast-deps"), PathBuf::from);
    let mut command = Command::new(deps.join("python/bin/python"));
    command.arg(script);
    command
}

/// Java with Kafka's own client.
fn java(program: &Path) -> Command {
    let classpath =
        Command::new(root().join("scripts/kafka")).arg("classpath").output().expect("bash is there");
    assert!(classpath.status.success(), "{classpath:?}");
    let classpath = String::from_utf8(classpath.stdout).expect("text");
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath.trim()]);
    command.arg(program);
    command
}

/// Runs a program to its end with these lines on stdin.
fn run(mut command: Command, stdin: String) -> String {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("scripts/setup has installed it");
    let mut pipe = child.stdin.take().expect("piped");
    // Beside the reading: neither of the two must wait for the other. A program that has ended says why.
    let writing = thread::spawn(move || pipe.write_all(stdin.as_bytes()));
    let output = child.wait_with_output().expect("it can be waited for");
    writing.join().expect("no panic").ok();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn example(name: &str) -> PathBuf {
    root().join("docs/examples/kafka-clients").join(name)
}

/// Sends requests with one of the examples.
pub(crate) fn reserve(
    language: Language,
    brokers: &Brokers,
    topic: &str,
    requests: &[Request],
) -> Vec<Place> {
    let mut command = match language {
        Language::Java => java(&example("Reserve.java")),
        Language::Python => {
            let mut command = python(&example("client.py"));
            command.arg("reserve");
            command
        }
    };
    command.args([brokers.bootstrap(), topic]);
    let lines = requests.iter().fold(String::new(), |mut lines, it| {
        let id = u128::from_be_bytes(it.id);
        writeln!(lines, "{id:032x}\t{}\t{}\t{}", it.customer, it.sku, it.quantity)
            .expect("a string takes it");
        lines
    });
    let told = run(command, lines);
    let places = told.lines().map(|line| {
        let mut fields = line.rsplitn(3, '\t');
        let mut next = || fields.next().unwrap_or_else(|| panic!("not a place: {line}"));
        let (offset, partition) = (next().parse().expect("an offset"), next().parse().expect("a partition"));
        Place { sku: next().to_owned(), partition, offset }
    });
    places.collect()
}

/// Reads all decisions so far with the example, by partition and offset of the command record.
pub(crate) fn decisions(brokers: &Brokers, topic: &str) -> BTreeMap<(u64, u64), Vec<Value>> {
    let mut command = python(&example("client.py"));
    command.args(["decisions", brokers.bootstrap(), topic]);
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for line in run(command, String::new()).lines() {
        let told: Value = serde_json::from_str(line).expect("JSON");
        let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} in {told}"));
        found.entry((number("partition"), number("offset"))).or_default().push(told);
    }
    found
}

/// Sends records as they are to one partition; `None` has no value. Says where they went.
pub(crate) fn send_raw(
    brokers: &Brokers,
    topic: &str,
    partition: u32,
    records: &[Option<Vec<u8>>],
) -> Vec<Place> {
    let mut command = python(&root().join("holdfast/tests/foreign_clients/raw.py"));
    command.args([brokers.bootstrap(), topic, &partition.to_string()]);
    let lines = records.iter().fold(String::new(), |mut lines, record| {
        match record {
            None => lines.push_str("null"),
            Some(bytes) => bytes
                .iter()
                .try_for_each(|byte| write!(lines, "{byte:02x}"))
                .expect("a string takes everything"),
        }
        lines + "\n"
    });
    let told = run(command, lines);
    let offsets = told.lines().map(|line| line.parse().expect("an offset"));
    offsets.map(|offset| Place { sku: String::new(), partition, offset }).collect()
}
