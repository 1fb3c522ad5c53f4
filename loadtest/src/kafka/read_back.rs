//! The decisions of the run, read again from their beginning by somebody who has not seen them.
//!
//! A reservation cannot be asked about in the log. How it stands follows from what was decided about it, and from the
//! deadlines that have passed by the log's own clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use holdfast_contracts::decision::{DecisionBatch, Outcome, Reason, What};
use holdfast_contracts::{LogTime, Offset, PartitionId, ReservationId};
use holdfast_log::{OrderedLog, StreamId, doorbell};

use super::answer::state_of;
use super::follower::Follower;
use super::{Post, Seen, ThroughKafkaError, ends, ids, lane, open_log};
use crate::books::State;

/// How long nothing may come although there is something.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often somebody who waits looks although nobody has rung.
const LOOK: Duration = Duration::from_millis(100);

/// How every reservation of the run stands, by the log alone.
#[derive(Debug, Default)]
pub(crate) struct ReadBack {
    standings: HashMap<ReservationId, Standing>,
    /// What differs from what was read before, and what must not be in a log, one sentence each.
    pub(crate) faults: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    state: State,
    /// When it ends unless something happens.
    deadline: LogTime,
}

impl ReadBack {
    /// How a reservation stands, if the log knows it.
    pub(crate) fn state(&self, reservation: &str) -> Option<State> {
        self.standings.get(&lane::id_of(reservation)).map(|it| it.state)
    }

    /// Takes in what one record says.
    pub(super) fn take(&mut self, batch: &DecisionBatch<'_>) {
        for decision in batch.decisions() {
            let Some(id) = decision.id else { continue };
            match decision.outcome {
                Some(Outcome::Reserved { expires_after_ms, .. }) if !decision.replay => {
                    let deadline = batch.log_time.plus_ms(expires_after_ms);
                    self.standings.insert(id, Standing { state: State::Held, deadline });
                }
                Some(Outcome::Moved { state, expires_after_ms, .. }) => {
                    let deadline = batch.log_time.plus_ms(expires_after_ms);
                    self.becomes(id, Standing { state: state_of(state), deadline });
                }
                // The machine says so before the turn of the hold has come.
                Some(Outcome::Refused { reason: Reason::Expired, .. }) => self.ends(id, State::Expired),
                _ => {}
            }
        }
        for event in batch.events() {
            if let What::Expired { id, .. } = event.what {
                self.ends(id, State::Expired);
            }
        }
    }

    /// The log's clock has come to these, in the order of partitions.
    pub(super) fn pass(&mut self, clocks: &[LogTime]) {
        for (id, standing) in &mut self.standings {
            let clock = usize::try_from(ids::partition_of(*id).0).ok().and_then(|it| clocks.get(it));
            let is_due = clock.is_some_and(|now| *now >= standing.deadline);
            // Its turn to expire comes with some later record; nobody who asks is told otherwise.
            if is_due && standing.state == State::Held {
                standing.state = State::Expired;
            }
        }
    }

    fn becomes(&mut self, id: ReservationId, standing: Standing) {
        if let Some(known) = self.standings.get_mut(&id) {
            *known = standing;
        }
    }

    fn ends(&mut self, id: ReservationId, state: State) {
        if let Some(known) = self.standings.get_mut(&id) {
            known.state = state;
        }
    }
}

/// Reads everything from before the run to now with a client of its own.
///
/// # Errors
/// If the brokers do not give it.
pub(crate) fn read_back(post: &Post) -> Result<ReadBack, ThroughKafkaError> {
    let log = open_log(&post.config, &post.found)?;
    let ends = ends(log.as_ref())?;
    let seen = post.lock().seen.clone();
    let mut back = ReadBack::default();
    let mut clocks = Vec::new();
    for ((from, end), partition) in post.began.iter().zip(&ends).zip((0u32..).map(PartitionId)) {
        let own: Vec<Seen> = seen.iter().filter(|it| it.0 == partition).copied().collect();
        clocks.push(read_partition(log.as_ref(), Follower::new(partition, *from), *end, &own, &mut back)?);
    }
    back.pass(&clocks);
    log.close();
    Ok(back)
}

/// Reads one partition up to this end, and holds it against what was seen before. Says what time it is in it.
fn read_partition(
    log: &dyn OrderedLog,
    mut follower: Follower,
    end: Offset,
    seen: &[Seen],
    back: &mut ReadBack,
) -> Result<LogTime, ThroughKafkaError> {
    let partition = follower.partition;
    let (bell, mut listener) = doorbell();
    let _woken = log.subscribe(StreamId::inventory_decisions(partition), bell.waker());
    let (mut clock, mut progress, mut differing) = (LogTime(0), Instant::now(), Vec::new());
    while follower.next() < end && !follower.is_broken() {
        listener.take();
        let found = follower.read(log, |batch, _| {
            clock = clock.max(batch.log_time);
            back.take(batch);
            let differs = |it: &&Seen| it.1 == batch.envelope.out_seq && it.2 != batch.chain;
            differing.extend(seen.iter().filter(differs).map(|it| it.1));
        });
        if found {
            progress = Instant::now();
        } else if progress.elapsed() > PATIENCE {
            return Err(ThroughKafkaError::Stuck { partition, next: follower.next(), end });
        } else {
            listener.wait_until(Instant::now() + LOOK);
        }
    }
    back.faults.append(&mut follower.finish().1);
    back.faults.extend(differing.iter().map(|seq| {
        format!("decision number {seq} of partition {partition} had another history when it was told")
    }));
    Ok(clock)
}
