//! What a running server says of its state to the other commands on its machine: a socket in the data directory, one
//! JSON document to whoever connects.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use holdfast_contracts::PartitionId;
use holdfast_core::Machine;
use holdfast_engine::Sequencer;
use serde::{Deserialize, Serialize};

use crate::failure::causes;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// The state of a partition between two of its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LiveState {
    pub(crate) partition: u32,
    /// The first command record that is not in the state.
    pub(crate) next_offset: u64,
    /// The last output.
    pub(crate) out_seq: u64,
    /// Digest of the state.
    pub(crate) digest: String,
}

/// Answers whoever connects, for as long as the sequencer is there.
///
/// # Errors
/// If the socket cannot be made, as when the path of the data directory is too long for one.
pub(crate) fn serve(socket: &Path, sequencer: &Arc<Sequencer<Machine>>) -> io::Result<()> {
    // Whoever holds the log owns the directory, so this is what a dead server left.
    if let Err(error) = fs::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(socket)?;
    let sequencer = Arc::downgrade(sequencer);
    std::thread::Builder::new().name("live".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let Some(states) = states(&sequencer) else { return };
            if let Err(error) = stream.and_then(|stream| tell(stream, &states)) {
                tracing::debug!(error = causes(&error), "somebody asked for the state and did not listen");
            }
        }
    })?;
    Ok(())
}

/// Every partition that is live.
fn states(sequencer: &Weak<Sequencer<Machine>>) -> Option<Vec<LiveState>> {
    let sequencer = sequencer.upgrade()?;
    let partitions: Vec<PartitionId> = sequencer.statuses().iter().map(|it| it.partition).collect();
    let ask = |partition: PartitionId| {
        sequencer.ask(partition, move |machine, status| LiveState {
            partition: partition.0,
            next_offset: status.next_offset.0,
            out_seq: status.out_seq.0,
            digest: machine.digest().to_string(),
        })
    };
    Some(partitions.into_iter().filter_map(|partition| ask(partition).ok().flatten()).collect())
}

fn tell(mut stream: UnixStream, states: &[LiveState]) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&serde_json::to_vec(states)?)
}

/// Asks the server of a data directory. `None` if none runs.
pub(crate) fn ask(socket: &Path) -> Option<Vec<LiveState>> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
