//! `loadtest run`.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::worker::WorkersArgs;
use super::{Ending, Form, LoadtestError, Surroundings, json, say};
use crate::kafka::ThroughKafka;
use crate::report;
use crate::run::{self, Credentials, Progress, RunConfig, Start};
use crate::summary;

/// What is played, and against whom.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A scenario's file, or the name of one that comes with the program
    scenario: String,
    /// Who is asked; the server of the data directory by default
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Start a server for this run, with default settings, and end it afterwards
    #[arg(long, conflicts_with_all = ["server", "tokens"])]
    start: bool,
    /// An empty directory for its data; a temporary one by default, which stays only if something is wrong
    #[arg(long, value_name = "DIR", requires = "start")]
    start_data: Option<PathBuf>,
    /// Start it on these brokers, on topics of its own: an intake and two sequencers
    #[arg(long, value_name = "HOST:PORT,...", requires = "start")]
    kafka: Option<String>,
    /// A process that faults of the scenario are done to, by the name that it has there
    #[arg(long, value_name = "NAME=PID", value_parser = process)]
    process: Vec<(String, u32)>,
    /// What the shell runs to start that process again after it was killed; `exec` leaves it the shell's process id
    #[arg(long, value_name = "NAME=COMMAND", value_parser = restart)]
    restart: Vec<(String, String)>,
    /// A file with values of Authorization headers, one for each customer, for a server without development keys
    #[arg(long, value_name = "FILE", requires = "admin_token")]
    tokens: Option<PathBuf>,
    /// A file with the value of an Authorization header with the scope `admin`
    #[arg(long, value_name = "FILE", requires = "tokens")]
    admin_token: Option<PathBuf>,
    /// Draw other buyers
    #[arg(long)]
    seed: Option<u64>,
    /// Multiply every rate
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,
    /// Connections that are kept open, instead of the scenario's
    #[arg(long)]
    connections: Option<u32>,
    /// Threads that send, in each process that does; as many as it takes by default
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    workers: WorkersArgs,
    #[command(flatten)]
    post: KafkaArgs,
    /// Where report.html, run.json, seconds.csv, latency.hgrm and latency.hlog go; named after the scenario by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write no files
    #[arg(long, conflicts_with = "out")]
    no_files: bool,
    /// Lines instead of a live screen
    #[arg(long)]
    no_live: bool,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// Buyers who ask without the intake.
#[derive(Debug, Args)]
struct KafkaArgs {
    /// Send what buyers ask to these brokers, in batches, and read the answers from there; the sale is set up over HTTP
    #[arg(long, value_name = "HOST:PORT")]
    through_kafka: Option<String>,
    /// What comes before the names of the topics
    #[arg(long, value_name = "PREFIX", requires = "through_kafka")]
    topic_prefix: Option<String>,
    /// A file with a table `[kafka]` as the server's configuration has it, for names, passwords and certificates
    #[arg(long, value_name = "FILE", requires = "through_kafka")]
    kafka_config: Option<PathBuf>,
    /// How long a command waits for others to go with it
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1, requires = "through_kafka")]
    kafka_linger_ms: u64,
}

impl KafkaArgs {
    fn through(&self) -> Option<ThroughKafka> {
        Some(ThroughKafka {
            bootstrap: self.through_kafka.clone()?,
            topic_prefix: self.topic_prefix.clone(),
            settings: self.kafka_config.clone(),
            linger: Duration::from_millis(self.kafka_linger_ms),
        })
    }
}

impl RunArgs {
    pub(super) fn execute(
        &self,
        around: &Surroundings,
        out: &mut dyn Write,
    ) -> Result<Ending, LoadtestError> {
        let config = self.config(around)?;
        heed_signals(&config.stop)?;
        let results = run::run(&config)?;
        match around.form.or_json(self.json) {
            Form::Json => say(out, &json(&results)?)?,
            Form::Csv => report::csv(&results, out).map_err(|error| LoadtestError::Other(error.into()))?,
            Form::Text => {
                say(out, &summary::text(&results))?;
                if let Some(directory) = &config.out {
                    say(out, &format!("report: {}", directory.join(run::REPORT).display()))?;
                }
            }
        }
        Ok(Ending::of(&results))
    }

    fn config(&self, around: &Surroundings) -> Result<RunConfig, LoadtestError> {
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(LoadtestError::Usage(format!("--scale {} is no factor", self.scale)));
        }
        let credentials = match (&self.tokens, &self.admin_token) {
            (Some(tokens), Some(admin)) => {
                let customers = read(tokens)?.lines().map(|it| bearer(it.trim())).collect();
                Credentials::Tokens { customers, admin: bearer(read(admin)?.trim()) }
            }
            _ => Credentials::Keys(around.keys.clone()),
        };
        let start = self.start.then(|| Start {
            program: around.executable.clone(),
            data: self.start_data.clone(),
            kafka: self.kafka.clone(),
        });
        let server = self.server.clone().unwrap_or_else(|| around.server.clone());
        let out = match (self.out.clone(), self.no_files) {
            (_, true) => None,
            (Some(out), false) => Some(out),
            (None, false) => Some(PathBuf::from(format!("loadtest-{}", stem(&self.scenario)))),
        };
        let progress = match (around.is_quiet, self.no_live) {
            (true, _) => Progress::Quiet,
            (false, true) => Progress::Lines,
            (false, false) => Progress::Screen,
        };
        Ok(RunConfig {
            seed: self.seed,
            scale: self.scale,
            connections: self.connections,
            threads: self.threads,
            workers: self.workers.read()?,
            out,
            partitions: around.partitions,
            progress,
            start,
            processes: self.process.iter().cloned().collect(),
            restarts: self.restart.iter().cloned().collect(),
            through_kafka: self.post.through(),
            ..RunConfig::new(&self.scenario, &server, credentials)
        })
    }
}

/// SIGHUP, SIGINT and SIGTERM end the run before its time, in good order, so that nothing stays frozen, full or started; once
/// more and it is not judged either.
fn heed_signals(stop: &Arc<AtomicBool>) -> Result<(), LoadtestError> {
    let heed = |signal| flag::register(signal, stop.clone());
    let heeded: io::Result<Vec<_>> = [SIGHUP, SIGINT, SIGTERM].into_iter().map(heed).collect();
    match heeded {
        Ok(_) => Ok(()),
        Err(source) => Err(LoadtestError::File { what: "taking signals".to_owned(), source }),
    }
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = restart(text)?;
    let pid = pid.parse().map_err(|_| format!("{pid} is no process id"))?;
    Ok((name, pid))
}

fn restart(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, what)) if !name.is_empty() && !what.is_empty() => Ok((name.to_owned(), what.to_owned())),
        _ => Err("write a name, `=`, and what it stands for".to_owned()),
    }
}

/// Tokens may be given bare.
fn bearer(token: &str) -> String {
    if token.contains(' ') { token.to_owned() } else { format!("Bearer {token}") }
}

fn read(file: &PathBuf) -> Result<String, LoadtestError> {
    fs::read_to_string(file)
        .map_err(|source| LoadtestError::File { what: format!("reading {}", file.display()), source })
}

/// The name of a scenario without folders and ending.
fn stem(scenario: &str) -> String {
    PathBuf::from(scenario)
        .file_stem()
        .map_or_else(|| "run".to_owned(), |it| it.to_string_lossy().into_owned())
}
