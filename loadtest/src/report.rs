//! What is made of the results of a run: a page to look at, and files for other tools.
//!
//! Everything here follows from [`Results`] alone, so it can be made again later from the file that [`write_json`] wrote.
//! Only the interval log is written as the run goes, because results do not keep a histogram for each second.

mod charts;
mod figures;
mod hgrm;
mod json;
mod page;
mod per_second;
mod text;
mod view;

pub mod hdr;
pub mod hlog;

use std::io;
use std::path::PathBuf;

pub use self::figures::error_rate;
pub use self::hgrm::hgrm;
pub use self::json::{read_json, write_json};
pub use self::page::html;
pub use self::per_second::csv;

pub(crate) use self::charts::{Chart, Kind, Series, curve, grid};
pub(crate) use self::figures::errors_in;
pub(crate) use self::page::{Page, decode, render};
pub(crate) use self::text::{moment, number};

#[cfg(doc)]
use crate::results::Results;

/// Why a report could not be written, or results could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The template and what it is given do not fit together.
    #[error("cannot make the page")]
    Page(#[source] minijinja::Error),
    /// A histogram of the results is not one.
    #[error("cannot read the histogram of `{operation}`")]
    Histogram {
        /// Whose it is.
        operation: String,
        /// What is wrong with it.
        source: hdr::HdrError,
    },
    /// Results could not be turned into JSON.
    #[error("cannot write the results as JSON")]
    WriteJson(#[source] serde_json::Error),
    /// What was being written could not be written.
    #[error("cannot write the {what}")]
    Write {
        /// Which part of the report.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold results.
    #[error("{} does not hold the results of a run", path.display())]
    NotResults {
        /// Which file.
        path: PathBuf,
        /// Where it stops being that.
        source: serde_json::Error,
    },
    /// A file holds results in another form.
    #[error("{} has schema {found}, and this program reads schema {}", path.display(), crate::results::SCHEMA)]
    OtherSchema {
        /// Which file.
        path: PathBuf,
        /// The version of its form.
        found: u64,
    },
}
