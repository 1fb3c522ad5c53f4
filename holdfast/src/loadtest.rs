//! Load tests, by the load harness.

use holdfast_loadtest::cli::{Ending, Form, Loadtest, LoadtestError, Surroundings};

use crate::config::Loaded;
use crate::data::DataDir;
use crate::demo::this_executable;
use crate::failure::{Exit, Failure, causes};
use crate::output::{Format, Output};

/// Does what the harness was asked for. Without a server that was named it asks the one that runs on the data directory, else
/// the one that the settings describe, like every other command.
///
/// # Errors
/// If there is no result, or the result is not as it should be.
pub(crate) fn run(command: &Loadtest, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let data = DataDir::new(&loaded.config.data_dir);
    let server = data.address().unwrap_or_else(|| format!("http://{}", loaded.config.intake.listen));
    let partitions = data.identity()?.map_or(loaded.config.partitions.get(), |it| it.partitions);
    let around = Surroundings {
        executable: this_executable()?,
        server: if server.contains("://") { server } else { format!("http://{server}") },
        keys: data.root().to_owned(),
        partitions,
        is_quiet: output.quiet,
        form: match output.format {
            Format::Table => Form::Text,
            Format::Json | Format::Ndjson => Form::Json,
            Format::Csv => Form::Csv,
        },
    };
    let ending = command.execute(&around, &mut std::io::stdout().lock()).map_err(|error| refused(&error))?;
    match ending {
        Ending::Done => Ok(()),
        Ending::Wrong(what) => Err(Failure::new(Exit::Findings, "WRONG", what)),
        Ending::Threshold(what) => Err(Failure::new(Exit::Threshold, "THRESHOLD", what)),
        Ending::Aborted => Err(Failure::new(Exit::Aborted, "ABORTED", "it was ended before its time")),
    }
}

fn refused(error: &LoadtestError) -> Failure {
    let said = causes(error);
    match error.code() {
        LoadtestError::CANNOT_RUN => Failure::new(Exit::CannotRun, "CANNOT_RUN", said),
        LoadtestError::ENDED_EARLY => Failure::new(Exit::Aborted, "ABORTED", said),
        LoadtestError::UNAVAILABLE => Failure::new(Exit::Unavailable, "UNREACHABLE", said)
            .advise("start a server with `holdfast up`, or name another with --server or its data directory with --data"),
        _ => Failure::new(Exit::Failed, "NO_VERDICT", said),
    }
}
