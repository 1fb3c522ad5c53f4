//! The server's own log: JSON lines on stderr.

use std::panic;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Begins to log. Panics are logged like anything else.
///
/// # Errors
/// If the level is not understood, or somebody logs already.
pub(crate) fn begin(level: &str) -> Result<(), Failure> {
    let directives = std::env::var("HOLDFAST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::builder().parse(&directives).map_err(|error| {
        Failure::usage(format!("the log level `{directives}` is not understood: {error}"))
            .advise("use error, warn, info, debug or trace, or directives as in config/holdfast.toml")
    })?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| Failure::usage(format!("logging cannot begin: {error}")))?;
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let what = info.payload_as_str().unwrap_or("no message");
        tracing::error!(place, thread, what, "a thread panicked");
    }));
    Ok(())
}
