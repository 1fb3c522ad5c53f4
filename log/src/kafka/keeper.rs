//! The thread that looks after a Kafka log: forgets what may be forgotten, ends what nobody uses, replaces what stalls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::shared::Shared;
use crate::{doorbell::Listener, port::WakeRound};

/// How often it looks.
const PATROL: Duration = Duration::from_millis(250);
/// How often the brokers are asked for the ends of streams that somebody waits for and nobody reads.
const ASK: Duration = Duration::from_millis(500);
/// How often they are asked for those of the others, so that a fetch that stalls is noticed.
const ASK_READ: Duration = Duration::from_secs(5);
/// How long letting records be forgotten may take.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10);

/// The life of the thread, which ends with the log.
pub(super) fn keep(shared: &Arc<Shared>, mut listener: Listener) {
    let (mut asked, mut asked_read) = (Instant::now(), Instant::now());
    loop {
        listener.wait_until(Instant::now() + PATROL);
        if shared.has_ended() {
            return;
        }
        for stream in &shared.streams {
            stream.wake_starving();
            stream.tend_feeds(shared);
            if let Err(fault) = stream.delete_trimmed(shared, DELETE_TIMEOUT) {
                shared.counters.remember(fault.text);
            }
        }
        shared.lanes.close_unused();
        shared.wake_refused(&mut WakeRound::default());
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            let every = asked_read.elapsed() >= ASK_READ;
            if every {
                asked_read = asked;
            }
            ask(shared, every);
        }
    }
}

/// Learns the ends of the streams that somebody waits for, and wakes those who wait when they have moved.
fn ask(shared: &Arc<Shared>, every: bool) {
    for stream in shared.streams.iter().filter(|stream| stream.is_unwatched() || (every && stream.is_read()))
    {
        let before = stream.watermarks().end;
        match stream.refresh(shared, shared.ask_timeout) {
            Ok(marks) if marks.end > before => stream.subscribers.wake_all(),
            Ok(_) => {}
            Err(fault) => {
                shared.counters.remember(fault.text);
                return;
            }
        }
    }
}
