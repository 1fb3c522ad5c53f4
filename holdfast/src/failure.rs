//! Why a command did not do what it was asked, what to do about it, and the exit code that says so.

use std::error::Error;
use std::process::ExitCode;

pub(crate) use holdfast_loadtest::causes;
use serde::Serialize;

/// Exit codes. Scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It failed.
    Failed = 1,
    /// It was asked in the wrong way, or with settings that make no sense.
    Usage = 2,
    /// It worked, and what it found is not as it should be.
    Findings = 3,
    /// Something it needs cannot be reached.
    Unavailable = 69,
    /// The same may work later.
    RetryLater = 75,
    /// A load test was right, but a figure is not as good as it must be.
    Threshold = 99,
    /// A load test cannot be run like that.
    CannotRun = 104,
    /// A load test was ended before its time.
    Aborted = 105,
    /// Somebody interrupted it before it was done.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// Its stable name, in upper case.
    pub(crate) code: String,
    /// What went wrong.
    pub(crate) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
    /// The HTTP status, if a server said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into(), advice: None, status: None, exit }
    }

    /// Asked in the wrong way.
    pub(crate) fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "USAGE", detail)
    }

    /// What was being done, and every cause of its failure.
    pub(crate) fn of(code: &str, doing: &str, error: &dyn Error) -> Self {
        Self::new(Exit::Failed, code, format!("{doing}: {}", causes(error)))
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}
