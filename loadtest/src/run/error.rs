//! Why a run came to no verdict.

use std::io;
use std::path::PathBuf;

use super::faults::FaultError;
use crate::kafka::ThroughKafkaError;
use crate::scenario::ScenarioError;
use crate::server::ServerError;
use crate::tokens::TokenError;

/// Why a run came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// There is no such scenario.
    #[error("there is no scenario {name}: it is neither a file nor one of {shipped}")]
    NoScenario {
        /// What was asked for.
        name: String,
        /// What there is.
        shipped: String,
    },
    /// The scenario's file cannot be read.
    #[error("reading {name}")]
    Read {
        /// The file.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The server's name cannot be used.
    #[error("{server} cannot be asked: {why}")]
    Target {
        /// What was given.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// Buyers cannot be given tokens.
    #[error("giving buyers their tokens")]
    Issue(#[from] TokenError),
    /// Too few tokens were given.
    #[error("the scenario has {wanted} customers, and there are tokens for {given}")]
    Tokens {
        /// How many there are.
        given: usize,
        /// How many it takes.
        wanted: usize,
    },
    /// The sale could not be set up, or not be asked about.
    #[error("{what} was answered {answer}")]
    Organising {
        /// What was asked.
        what: String,
        /// The answer.
        answer: String,
    },
    /// The interface that the scenario describes cannot be used.
    #[error("api: {what}")]
    Api {
        /// What is wrong with it.
        what: String,
    },
    /// A file of the run cannot be written.
    #[error("writing {what}")]
    Write {
        /// The file.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody answers.
    #[error("{server} does not answer")]
    Silent {
        /// Who was asked.
        server: String,
    },
    /// The system has no sockets or threads left.
    #[error("sending requests")]
    Generator(#[source] io::Error),
    /// The server of the run's own.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The directory for its data is in use.
    #[error("{} is not empty; a server of the run's own needs a directory of its own", .0.display())]
    NotEmpty(PathBuf),
    /// A fault of the scenario.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The processes that were to send cannot share the run.
    #[error("{what}")]
    Workers {
        /// What is wrong with them.
        what: String,
    },
    /// A process that was to send does not, or does not any more.
    #[error("worker {name}")]
    Worker {
        /// Which one.
        name: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody can ask through Kafka.
    #[error("through kafka: {0}")]
    Kafka(#[from] ThroughKafkaError),
    /// Somebody did not want to wait for the verdict.
    #[error("it was ended before there was a verdict")]
    Interrupted,
    /// A thread ended without a word.
    #[error("a worker failed")]
    Failed,
}

impl RunError {
    /// Whether the same will fail again: what was asked for cannot be run.
    pub(crate) const fn is_about_what_was_asked(&self) -> bool {
        match self {
            Self::Scenario(_)
            | Self::NoScenario { .. }
            | Self::Read { .. }
            | Self::Target { .. }
            | Self::Api { .. }
            | Self::Tokens { .. }
            | Self::NotEmpty(_)
            | Self::Fault(FaultError::Refused(_))
            | Self::Workers { .. } => true,
            Self::Kafka(error) => error.is_about_what_was_asked(),
            _ => false,
        }
    }

    /// Whether nobody answers.
    pub(crate) const fn is_silence(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::Kafka(error) => error.is_silence(),
            _ => false,
        }
    }
}
