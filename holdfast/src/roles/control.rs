//! How an operator on the same machine tells a role to hand over: a socket in the data directory.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::Value;

use crate::data::DataDir;
use crate::failure::{Exit, Failure};
use crate::output;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(60);
const DRAIN: &str = "drain";
/// More than any request.
const REQUEST_BYTES_MAX: u64 = 64;

/// Somebody asked the role to hand over what it owns, and waits for the answer.
pub(super) struct Asked(UnixStream);

impl Asked {
    /// Tells whoever asked how it went: one JSON document.
    pub(super) fn answer(mut self, how: &Value) {
        let told = self.0.write_all(how.to_string().as_bytes());
        if let Err(error) = told {
            tracing::debug!(%error, "somebody asked to drain and did not wait for the answer");
        }
    }
}

/// Listens until the process ends.
///
/// # Errors
/// If the socket cannot be made, as when the path of the data directory is too long for one.
pub(super) fn listen(socket: &Path) -> io::Result<Receiver<Asked>> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    let (sender, asked) = sync_channel(4);
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if hear(stream, &sender).is_none() {
                return;
            }
        }
    })?;
    Ok(asked)
}

/// None once nobody listens any more.
fn hear(stream: UnixStream, sender: &SyncSender<Asked>) -> Option<()> {
    let mut word = String::new();
    let limited = stream.try_clone().ok().map(|it| it.take(REQUEST_BYTES_MAX));
    let set = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
    let read = limited.map(|it| BufReader::new(it).read_line(&mut word));
    if set.is_ok() && matches!(read, Some(Ok(_))) && word.trim() == DRAIN {
        sender.send(Asked(stream)).ok()?;
    }
    Some(())
}

/// Tells the sequencer of a data directory to hand over everything it owns, and waits until it has.
///
/// # Errors
/// If none runs there, or it could not hand over in time.
pub(crate) fn drain(data: &DataDir, output: output::Output) -> Result<(), Failure> {
    let nobody = |_| {
        Failure::new(
            Exit::Unavailable,
            "NO_SEQUENCER",
            format!("no sequencer runs on {}", data.root().display()),
        )
        .advise("name its data directory with --data")
    };
    let mut stream = UnixStream::connect(data.control_socket()).map_err(nobody)?;
    let lost = |error: io::Error| Failure::of("DRAIN", "asking the sequencer to hand over", &error);
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
    writeln!(stream, "{DRAIN}").map_err(lost)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(lost)?;
    let how: Value = serde_json::from_str(&text).map_err(|error| lost(error.into()))?;
    if how["left"] != Value::Bool(true) {
        return Err(Failure::new(
            Exit::Failed,
            "NOT_DRAINED",
            "the sequencer could not hand over everything in time",
        )
        .advise("look at its /status page; ending it is safe all the same"));
    }
    output.say("handed over; the process stands by and may be ended");
    output::data(&how.to_string())
}
