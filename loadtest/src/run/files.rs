//! The files that a run leaves.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::RunError;
use crate::drive::{Interval, Kind};
use crate::report::{self, hdr, hlog};
use crate::results::Results;

/// The page to look at.
pub const REPORT: &str = "report.html";
/// The results, for `compare` and for programs.
const RESULTS: &str = "run.json";
/// The run second by second, for a sheet.
const SECONDS: &str = "seconds.csv";
/// The distribution of all latencies, from when requests were due, for HdrHistogram's plotter.
const DISTRIBUTION: &str = "latency.hgrm";
/// A histogram for each second and kind of request, for HdrHistogram's log tools.
const INTERVALS: &str = "latency.hlog";

/// Writes the content of a file.
type Fill<'a> = &'a dyn Fn(&mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>>;

/// A directory that the files go to.
pub(super) struct Files {
    directory: PathBuf,
    intervals: Option<hlog::Writer<BufWriter<File>>>,
}

impl Files {
    /// Makes the directory, so that nobody finds out at the end that it cannot be made.
    pub(super) fn new(directory: &Path) -> Result<Self, RunError> {
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        Ok(Self { directory: directory.to_owned(), intervals: None })
    }

    /// T0 is known.
    pub(super) fn begin(&mut self, scenario: &str, started: SystemTime) -> Result<(), RunError> {
        let path = self.directory.join(INTERVALS);
        let file = File::create(&path).map_err(|error| failed(&path, error))?;
        let writer = hlog::Writer::begin(BufWriter::new(file), scenario, started);
        self.intervals = Some(writer.map_err(|error| failed(&path, error))?);
        Ok(())
    }

    /// A second is over.
    pub(super) fn second(&mut self, interval: &Interval) -> Result<(), RunError> {
        let Some(writer) = &mut self.intervals else { return Ok(()) };
        let start = Duration::from_secs(interval.second);
        for (kind, latencies) in Kind::ALL.iter().zip(&interval.latencies) {
            let Some(latencies) = latencies else { continue };
            writer
                .write(start, Duration::from_secs(1), kind.name(), &latencies.intended)
                .map_err(|error| failed(&self.directory.join(INTERVALS), error))?;
        }
        Ok(())
    }

    /// The run is over and judged.
    pub(super) fn finish(self, results: &Results) -> Result<(), RunError> {
        if let Some(writer) = self.intervals {
            writer.finish().map_err(|error| failed(&self.directory.join(INTERVALS), error))?;
        }
        let write = |name: &str, fill: Fill<'_>| {
            let path = self.directory.join(name);
            let mut file = BufWriter::new(File::create(&path).map_err(|error| failed(&path, error))?);
            fill(&mut file).map_err(|source| RunError::Write { what: path.display().to_string(), source })?;
            file.flush().map_err(|error| failed(&path, error))
        };
        write(RESULTS, &|out| Ok(report::write_json(results, out)?))?;
        write(SECONDS, &|out| Ok(report::csv(results, out)?))?;
        write(REPORT, &|out| Ok(out.write_all(report::html(results)?.as_bytes())?))?;
        let all = results.operations.iter().find(|it| it.name == "all");
        let Some(all) = all else { return Ok(()) };
        write(DISTRIBUTION, &|out| Ok(report::hgrm(&hdr::decode(&all.felt_histogram)?, out)?))
    }
}

fn failed(path: &Path, source: impl Error + Send + Sync + 'static) -> RunError {
    RunError::Write { what: path.display().to_string(), source: Box::new(source) }
}
