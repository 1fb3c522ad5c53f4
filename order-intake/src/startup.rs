//! Watches over the partitions: brings fresh ones to the newest rules, and keeps what the intake believes of them current.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::{ControlKey, IntakeId, LogTime, PartitionId, RequestTag};
use holdfast_core::{Machine, RULES_VERSION_NEWEST};
use holdfast_engine::{PartitionState, PartitionStatus, Role};
use holdfast_log::{AppendError, Status, StreamId, Ticket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::health::Condition;
use crate::shared::Shared;

/// How often the partitions are looked at before the intake is ready, and afterwards.
const LOOK_STARTING: Duration = Duration::from_millis(5);
const LOOK: Duration = Duration::from_millis(50);

/// Where another process decides: how old what is known here may be, and how long a durable command may wait for its decision,
/// before nobody should be sent here.
const FOLLOWER_LAG_MAX_MS: u64 = 5_000;
const UNDECIDED_AFTER_MS: u64 = 5_000;

/// How often the log is asked whether it is there, and how long it may take to answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What is still to be done for a partition before it can answer.
enum Stage {
    /// It loads and replays.
    Replaying,
    /// It was fresh and was told which rules hold.
    Activating(Ticket),
    /// It knows its rules; its clock must have seen the present and be trusted.
    Ticking,
    Ready,
    /// Its machine would refuse what operators are told here.
    OtherKey,
}

/// Runs for as long as the intake does.
pub(crate) async fn watch_over(shared: Arc<Shared>) {
    let mut probe = Probe::default();
    let mut stages: Vec<Stage> = (0..shared.partitions).map(|_| Stage::Replaying).collect();
    loop {
        let mut all_ready = true;
        for status in shared.sequencer.statuses() {
            let number = status.partition.0 as usize;
            let Some(stage) = stages.get_mut(number) else { continue };
            let condition = match &status.state {
                // Why is said by whoever runs the sequencer.
                PartitionState::Stopped(_) => Condition::Stopped,
                PartitionState::Live => {
                    advance(&shared, stage, &status).await;
                    match stage {
                        Stage::Ready => condition_of(&status),
                        Stage::OtherKey => Condition::Stopped,
                        _ => Condition::Starting,
                    }
                }
                PartitionState::Unassigned | PartitionState::Loading | PartitionState::Replaying => {
                    Condition::Starting
                }
            };
            // One that stands still for good must not keep the others from answering.
            all_ready &= matches!(stage, Stage::Ready) || condition == Condition::Stopped;
            shared.health.set_partition(status.partition, condition);
        }
        let answers = probe.answers(&shared).await;
        shared.health.set_log(match shared.log.status() {
            Status::Healthy if !answers => Condition::Away,
            Status::Healthy => Condition::Good,
            Status::DiskFull => Condition::Full,
            Status::Failed { .. } | Status::Closed => Condition::Stopped,
        });
        if all_ready && !shared.health.is_started() {
            tracing::info!(partitions = shared.partitions, "ready");
            shared.health.set_started();
        }
        shared.health.announce();
        tokio::time::sleep(if shared.health.is_started() { LOOK } else { LOOK_STARTING }).await;
    }
}

/// Asks the log now and then whether it is there: one that is elsewhere takes commands into its queue when it is not.
#[derive(Default)]
struct Probe {
    asked: Option<Instant>,
    under_way: Option<JoinHandle<bool>>,
    answered: bool,
}

impl Probe {
    /// Whether it answered when it was asked last, and does not take long to answer now.
    async fn answers(&mut self, shared: &Arc<Shared>) -> bool {
        if self.under_way.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(done) = self.under_way.take()
        {
            self.answered = done.await.unwrap_or(false);
        }
        match self.asked {
            Some(asked) if self.under_way.is_some() => self.answered && asked.elapsed() < ANSWER_MAX,
            Some(asked) if asked.elapsed() < ASK_EVERY => self.answered,
            before => {
                if before.is_none() {
                    // The start asked it.
                    self.answered = true;
                }
                let shared = Arc::clone(shared);
                self.asked = Some(Instant::now());
                let ask = move || shared.log.refresh(StreamId::inventory_commands(PartitionId(0))).is_ok();
                self.under_way = Some(tokio::task::spawn_blocking(ask));
                self.answered
            }
        }
    }
}

/// How a partition stands that has been ready before. One that is run here says itself what is wrong; of one that is only
/// followed it must be seen whether somebody decides.
fn condition_of(status: &PartitionStatus) -> Condition {
    if status.role == Role::Active {
        return Condition::Good;
    }
    let waits_ms = status.output_waits_since.map_or(0, |since| now().ms_since(since));
    // One that keeps as many decisions as it may, because nobody makes them, is behind for that reason.
    if waits_ms >= UNDECIDED_AFTER_MS {
        Condition::Undecided
    } else if status.lag_ms > FOLLOWER_LAG_MAX_MS || status.stuck.is_some() {
        Condition::Behind
    } else {
        Condition::Good
    }
}

fn now() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn advance(shared: &Shared, stage: &mut Stage, status: &PartitionStatus) {
    match stage {
        Stage::Replaying => {
            if let Some(next) = after_replay(shared, status.partition).await {
                *stage = next;
            }
        }
        Stage::Activating(ticket) => match ticket.result() {
            None => {}
            Some(Ok(appended)) if status.next_offset <= appended.offset => {}
            Some(Ok(_)) => *stage = Stage::Ticking,
            // Whether it got there shows when the machine is asked again.
            Some(Err(_)) => {
                shared.log.resume(StreamId::inventory_commands(status.partition));
                *stage = Stage::Replaying;
            }
        },
        Stage::Ticking => {
            // The engine writes ticks while the partition is quiet; one record at least must have come since the start. Where it
            // only follows, ticks come from whoever decides, and waiting for them would be waiting for somebody else.
            let has_seen_the_present = status.role == Role::Standby || status.records_applied > 0;
            if has_seen_the_present && !status.clock_suspect {
                *stage = Stage::Ready;
            }
        }
        Stage::Ready | Stage::OtherKey => {}
    }
}

/// Looks at a machine that has replayed its log. `None` if it cannot be looked at now.
async fn after_replay(shared: &Shared, partition: PartitionId) -> Option<Stage> {
    let (answer, answered) = oneshot::channel();
    let look = move |machine: Option<&Machine>, _: &PartitionStatus| {
        answer.send(machine.map(|machine| (is_fresh(machine), machine.config().control_key))).ok();
    };
    shared.sequencer.query(partition, Box::new(look)).ok()?;
    let (is_fresh, its_key) = answered.await.ok()??;
    let our_key = shared.config.control_key;
    if its_key != our_key {
        let fingerprint = |key: Option<ControlKey>| key.map(|key| key.fingerprint().to_string());
        tracing::error!(
            partition = partition.0,
            machine = fingerprint(its_key),
            intake = fingerprint(our_key),
            "the machine has another control key than the intake; the partition is not served"
        );
        return Some(Stage::OtherKey);
    }
    if !is_fresh {
        shared.note_reserved_in(partition);
        return Some(Stage::Ticking);
    }
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(0), RequestTag(0));
    let version = RULES_VERSION_NEWEST;
    builder.push(&Command::ActivateRules { version, dedupe_window_ms: 0, work_per_record_max: 0 });
    let stream = StreamId::inventory_commands(partition);
    let record = builder.record_for(our_key.as_ref(), shared.log.log_id(), partition);
    match shared.log.append(stream, Bytes::from(record)) {
        Ok(ticket) => Some(Stage::Activating(ticket)),
        Err(error) => {
            if matches!(error, AppendError::Interrupted) {
                shared.log.resume(stream);
            }
            tracing::warn!(partition = partition.0, %error, "rules cannot be activated now");
            None
        }
    }
}

/// A machine that nobody has used yet gets the newest rules. One that was used keeps those it has: changing them is an
/// operator's decision.
fn is_fresh(machine: &Machine) -> bool {
    let sizes = machine.sizes();
    machine.rules_version() < RULES_VERSION_NEWEST && sizes.ids == 0 && sizes.skus == 0 && sizes.sales == 0
}
