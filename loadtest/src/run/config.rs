//! What is played, against whom, and how it is shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{Credentials, RunError};
use crate::kafka::ThroughKafka;
use crate::remote::Workers;
use crate::scenario::{self, SHIPPED, Scenario, ScenarioError, Shape};

/// A thread sends so many requests per second without sweat.
const RATE_PER_THREAD: f64 = 30_000.0;
/// In the closed model, a thread keeps so many connections busy.
const CONNECTIONS_PER_THREAD: usize = 32;

/// How a run is shown while it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A live screen on a terminal, otherwise lines.
    Screen,
    /// A line per second on standard error.
    Lines,
    /// Not at all.
    Quiet,
}

/// A server of the run's own.
#[derive(Debug, Clone)]
pub struct Start {
    /// The `holdfast` executable.
    pub program: PathBuf,
    /// An empty directory for its data, which stay there; otherwise a temporary one, whose data stay only if something is wrong.
    pub data: Option<PathBuf>,
    /// Brokers to run on, with an intake and two sequencers as processes of their own and topics of their own. Otherwise
    /// everything is one process.
    pub kafka: Option<String>,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// A file, or the name of a scenario that is shipped.
    pub scenario: String,
    /// As `http://host:port`.
    pub server: String,
    /// As whom it is asked.
    pub credentials: Credentials,
    /// Instead of the scenario's.
    pub seed: Option<u64>,
    /// Every rate of the scenario is multiplied by it.
    pub scale: f64,
    /// Instead of the scenario's.
    pub connections: Option<u32>,
    /// Threads that send, in each process that does; as many as it takes by default.
    pub threads: Option<usize>,
    /// Processes that send instead of this one, if there are any.
    pub workers: Workers,
    /// Partitions of the server: a reservation for several SKUs takes SKUs of one.
    pub partitions: u32,
    /// Where the files of the run go; an existing directory's files are replaced. Nothing is written without one.
    pub out: Option<PathBuf>,
    /// How it is shown.
    pub progress: Progress,
    /// A server that is started for the run, and is asked instead of `server`.
    pub start: Option<Start>,
    /// Processes that faults of the scenario may be done to, by the names that they have there.
    pub processes: BTreeMap<String, u32>,
    /// Commands for the shell that start these again.
    pub restarts: BTreeMap<String, String>,
    /// The buyers ask through Kafka; the sale is set up and the stock counted over HTTP all the same.
    pub through_kafka: Option<ThroughKafka>,
    /// Set by whoever wants the run to end before its time. It is judged all the same.
    pub stop: Arc<AtomicBool>,
}

impl RunConfig {
    /// A scenario as it is, against a server.
    #[must_use]
    pub fn new(scenario: &str, server: &str, credentials: Credentials) -> Self {
        Self {
            scenario: scenario.to_owned(),
            server: server.to_owned(),
            credentials,
            seed: None,
            scale: 1.0,
            connections: None,
            threads: None,
            workers: Workers::default(),
            partitions: 1,
            out: None,
            progress: Progress::Screen,
            start: None,
            processes: BTreeMap::new(),
            restarts: BTreeMap::new(),
            through_kafka: None,
            stop: Arc::default(),
        }
    }

    /// What the scenario is called.
    pub(super) fn name(&self) -> String {
        let stem = Path::new(&self.scenario).file_stem();
        stem.map_or_else(|| self.scenario.clone(), |it| it.to_string_lossy().into_owned())
    }

    /// The scenario as it was written, and what is set instead of its own.
    pub(super) fn source(&self) -> Result<Source, RunError> {
        let text = text_of(&self.scenario)?.into_owned();
        let (seed, connections, scale) = (self.seed, self.connections, self.scale);
        Ok(Source { name: self.scenario.clone(), text, seed, connections, scale })
    }

    /// How many threads send.
    pub(super) fn threads(&self, scenario: &Scenario) -> usize {
        let connections = scenario.connection_count();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(|| threads_wanted(scenario, cores)).clamp(1, connections)
    }
}

/// How many threads it takes, up to as many as there can be.
pub(crate) fn threads_wanted(scenario: &Scenario, most: usize) -> usize {
    let connections = scenario.connection_count();
    let wanted = match scenario.model {
        scenario::Model::Closed => connections.div_ceil(CONNECTIONS_PER_THREAD),
        scenario::Model::Open => {
            (1..most).find(|threads| peak(scenario) <= at_most(*threads)).unwrap_or(most)
        }
    };
    wanted.min(most)
}

/// A scenario as it was written, and what is set instead of its own. Whoever reads it plays the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// What errors call it.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) seed: Option<u64>,
    pub(crate) connections: Option<u32>,
    /// Every rate is multiplied by it.
    pub(crate) scale: f64,
}

impl Source {
    /// The scenario with what was set instead of its own.
    pub(crate) fn read(&self) -> Result<Scenario, ScenarioError> {
        scenario::read_with(&self.name, &self.text, |scenario| {
            scenario.seed = self.seed.unwrap_or(scenario.seed);
            if let Some(connections) = self.connections {
                scenario.connections = Spanned::new(0..0, connections);
            }
            for stage in scenario.stages.get_mut() {
                *stage.rate.get_mut() *= self.scale;
                if let Some(to) = &mut stage.to {
                    *to.get_mut() *= self.scale;
                }
            }
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "no machine has so many cores")]
fn at_most(threads: usize) -> f64 {
    threads as f64 * RATE_PER_THREAD
}

/// The highest rate that any stage comes to.
fn peak(scenario: &Scenario) -> f64 {
    let of_stage = |stage: &scenario::Stage| match (stage.shape, &stage.to) {
        (Shape::Linear | Shape::Spike, Some(to)) => stage.rate.get_ref().max(*to.get_ref()),
        _ => *stage.rate.get_ref(),
    };
    scenario.stages.get_ref().iter().map(of_stage).fold(0.0, f64::max)
}

/// Reads a file, or one of those that are shipped.
pub(crate) fn open(name: &str) -> Result<Scenario, RunError> {
    Ok(scenario::read(name, &text_of(name)?)?)
}

fn text_of(name: &str) -> Result<Cow<'static, str>, RunError> {
    if let Some(shipped) = SHIPPED.iter().find(|it| it.name == name) {
        return Ok(Cow::Borrowed(shipped.text));
    }
    if !Path::new(name).exists() {
        let shipped = SHIPPED.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
        return Err(RunError::NoScenario { name: name.to_owned(), shipped });
    }
    let text = std::fs::read_to_string(name);
    text.map(Cow::Owned).map_err(|source| RunError::Read { name: name.to_owned(), source })
}
