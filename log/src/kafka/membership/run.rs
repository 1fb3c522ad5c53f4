//! The thread that keeps a membership.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::{Offset, PartitionId};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::context::{Change, GroupContext};
use super::shared::Shared;
use super::{Generation, MemberEvent, MembershipConfig};
use crate::Topic;
use crate::kafka::admin::client_error;
use crate::kafka::config::Client;
use crate::kafka::library::{GroupPlace, group_place};
use crate::kafka::{KafkaConfig, KafkaError};

/// The library rings when there is something; this is how late a missed ring would be noticed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A member that does not take its events for so long loses its partitions.
const UNHEARD_MAX: Duration = Duration::from_secs(60);
/// Members learn of a rebalance with their next heartbeat.
const HEARTBEAT_MAX: Duration = Duration::from_millis(500);
/// A broker that is away does not keep anybody from ending.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// One ownership of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ownership {
    generation: Generation,
    released: bool,
}

/// A revocation that waits for the owner.
struct Revocation {
    partitions: Vec<PartitionId>,
    deadline: Instant,
}

/// How the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// Tells the owner that the thread has ended, however it did.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.tell(MemberEvent::Failed { reason: "the membership's thread has panicked".to_owned() });
        }
        self.0.end();
    }
}

/// A member of the group.
pub(super) struct Member {
    shared: Arc<Shared>,
    config: KafkaConfig,
    membership: MembershipConfig,
    topic: String,
    consumer: BaseConsumer<GroupContext>,
    assigned: BTreeMap<PartitionId, Ownership>,
    generations: u64,
    revocation: Option<Revocation>,
    /// Until when leaving may take, once it was begun.
    leaving: Option<Instant>,
    committed: BTreeMap<PartitionId, Offset>,
    commit_at: Instant,
}

impl Member {
    pub(super) fn join(
        config: &KafkaConfig,
        membership: MembershipConfig,
        shared: Arc<Shared>,
    ) -> Result<Self, KafkaError> {
        const DOING: &str = "joining the group";
        let topic = config.topic_name(Topic::InventoryCommands);
        let refused = |error| client_error(config, DOING, &error);
        let context = GroupContext::new(Arc::clone(&shared), topic.clone());
        let client = client(config, &membership);
        let mut consumer: BaseConsumer<GroupContext> =
            client.create_with_context(context).map_err(refused)?;
        let bell = Arc::clone(&shared);
        consumer.set_nonempty_callback(move || bell.ring());
        consumer.subscribe(&[&topic]).map_err(refused)?;
        Ok(Self {
            shared,
            config: config.clone(),
            topic,
            consumer,
            assigned: BTreeMap::new(),
            generations: 0,
            revocation: None,
            leaving: None,
            committed: BTreeMap::new(),
            commit_at: Instant::now() + membership.commit_every,
            membership,
        })
    }

    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _end = End(Arc::clone(&shared));
        while self.step() == Next::GoOn {
            shared.wait(self.next_look());
        }
        let was_left = self.leaving.is_some();
        self.commit();
        self.lose(self.assigned.keys().copied().collect());
        self.consumer.context().begin_closing();
        // Dropping the consumer closes it, which may take as long as a broker is away.
        drop(self);
        if was_left {
            shared.tell(MemberEvent::Left);
        }
    }

    fn step(&mut self) -> Next {
        let wishes = self.shared.wishes();
        if wishes.stop {
            return Next::End;
        }
        if wishes.crowded {
            // The brokers are told nothing more until the owner listens again, or others take over.
            return Next::GoOn;
        }
        for (partition, generation) in wishes.released {
            if let Some(ownership) = self.assigned.get_mut(&partition)
                && ownership.generation == generation
            {
                ownership.released = true;
            }
        }
        if wishes.leave && self.leaving.is_none() {
            self.leaving = Some(Instant::now() + LEAVE_TIMEOUT + self.membership.release_timeout);
            self.consumer.unsubscribe();
        }
        if self.poll() == Next::End {
            return Next::End;
        }
        while let Some(change) = self.consumer.context().next_change() {
            self.change(change);
        }
        self.finish_revocation();
        if Instant::now() >= self.commit_at {
            self.commit();
            self.commit_at = Instant::now() + self.membership.commit_every;
        }
        self.left()
    }

    fn next_look(&self) -> Instant {
        let look = Instant::now() + LOOK_EVERY;
        let release = self.revocation.as_ref().map_or(look, |revocation| revocation.deadline);
        look.min(release).min(self.commit_at)
    }

    /// Serves the library. Records are not wanted: fetching is paused.
    fn poll(&mut self) -> Next {
        let mut fatal = None;
        while let Some(polled) = self.consumer.poll(Duration::ZERO) {
            match polled {
                Ok(_) => self.shared.count(|numbers| numbers.fetched += 1),
                Err(ClientError::MessageConsumptionFatal(code)) => fatal = Some(code),
                // Told again as an error of the client.
                Err(_) => {}
            }
        }
        while let Some((code, reason)) = self.consumer.context().next_error() {
            let reason = self.config.mask(&format!("{code}: {reason}"));
            self.shared.count(|numbers| numbers.last_error = Some(reason));
            if is_final(code) {
                fatal = Some(code);
            }
        }
        let known = self.consumer.client().fatal_error();
        let (code, reason) = match (known, fatal) {
            (Some((code, reason)), _) => (code, reason),
            (None, Some(code)) => (code, code.to_string()),
            (None, None) => return Next::GoOn,
        };
        self.lose(self.assigned.keys().copied().collect());
        self.shared.tell(match code {
            Code::FencedInstanceId => MemberEvent::Fenced,
            _ => MemberEvent::Failed { reason: self.config.mask(&reason) },
        });
        Next::End
    }

    fn change(&mut self, change: Change) {
        // The library waits for the answer to one change before it comes with another, except when all is lost.
        self.end_revocation();
        self.shared.count(|numbers| numbers.rebalances += 1);
        let mut is_in_group = true;
        match change {
            Change::Assign(partitions) => self.assign(&partitions),
            Change::Revoke(partitions) if self.consumer.assignment_lost() => {
                self.lose(partitions.clone());
                self.unassign(&partitions);
                // The session has ended. The library goes on to name the generation it was in until it is in another.
                is_in_group = false;
            }
            Change::Revoke(partitions) => {
                for &partition in &partitions {
                    if let Some(ownership) = self.assigned.get(&partition) {
                        let generation = ownership.generation;
                        self.shared.tell(MemberEvent::Revoked { partition, generation });
                    }
                }
                let deadline = Instant::now() + self.membership.release_timeout;
                self.revocation = Some(Revocation { partitions, deadline });
            }
        }
        let generation = group_place(&self.consumer).generation.filter(|_| is_in_group);
        self.shared.count(|numbers| numbers.group_generation = generation);
    }

    fn assign(&mut self, partitions: &[PartitionId]) {
        let list = self.list(partitions.iter().map(|&partition| (partition, Offset(0))));
        // A place to start from, so that nobody asks for committed ones; and no fetching from there.
        let _ = self.consumer.pause(&list);
        let answered = self.consumer.incremental_assign(&list);
        let _ = self.consumer.pause(&list);
        if let Err(error) = answered {
            let reason = self.config.mask(&error.to_string());
            self.shared.count(|numbers| numbers.last_error = Some(reason));
            return;
        }
        for &partition in partitions {
            self.generations += 1;
            let generation = Generation(self.generations);
            // What an earlier ownership noted is not this one's.
            self.shared.forget_offset(partition);
            self.committed.remove(&partition);
            self.assigned.insert(partition, Ownership { generation, released: false });
            self.shared.tell(MemberEvent::Assigned { partition, generation });
        }
        self.show_assigned();
    }

    /// Lets go of what is to be revoked when its owner has released it, or had its time.
    fn finish_revocation(&mut self) {
        let Some(revocation) = &self.revocation else { return };
        let released = |partition| self.assigned.get(partition).is_none_or(|ownership| ownership.released);
        let done = revocation.partitions.iter().all(released);
        if done || Instant::now() >= revocation.deadline || self.consumer.assignment_lost() {
            self.end_revocation();
        }
    }

    fn end_revocation(&mut self) {
        let Some(revocation) = self.revocation.take() else { return };
        self.commit();
        for partition in &revocation.partitions {
            match self.assigned.get(partition) {
                Some(ownership) if !ownership.released => self.lose(vec![*partition]),
                _ => {
                    self.assigned.remove(partition);
                }
            }
        }
        self.show_assigned();
        self.unassign(&revocation.partitions);
    }

    fn lose(&mut self, partitions: Vec<PartitionId>) {
        for partition in partitions {
            if let Some(ownership) = self.assigned.remove(&partition) {
                self.shared.tell(MemberEvent::Lost { partition, generation: ownership.generation });
            }
        }
        self.show_assigned();
    }

    fn unassign(&self, partitions: &[PartitionId]) {
        let list = self.list(partitions.iter().map(|&partition| (partition, Offset(0))));
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            let reason = self.config.mask(&error.to_string());
            self.shared.count(|numbers| numbers.last_error = Some(reason));
        }
    }

    /// Sends the offsets that changed, and does not wait for the answer.
    fn commit(&mut self) {
        if self.consumer.context().take_commit_failed() {
            self.committed.clear();
        }
        let noted = self.shared.offsets();
        let changed = |(partition, next): &(PartitionId, Offset)| {
            self.assigned.contains_key(partition) && self.committed.get(partition) != Some(next)
        };
        let changed: Vec<_> = noted.into_iter().filter(changed).collect();
        if changed.is_empty() {
            return;
        }
        let list = self.list(changed.iter().copied());
        match self.consumer.commit(&list, CommitMode::Async) {
            Ok(()) => self.committed.extend(changed),
            Err(_) => self.shared.count(|numbers| numbers.commit_failures += 1),
        }
    }

    /// Whether the group has let this member go, as it was asked to.
    fn left(&self) -> Next {
        let Some(deadline) = self.leaving else { return Next::GoOn };
        let GroupPlace { is_member, .. } = group_place(&self.consumer);
        let done = !is_member && self.assigned.is_empty() && self.revocation.is_none();
        if done || Instant::now() >= deadline { Next::End } else { Next::GoOn }
    }

    fn show_assigned(&self) {
        let assigned = self.assigned.iter().map(|(partition, it)| (*partition, it.generation)).collect();
        self.shared.count(|numbers| numbers.assigned = assigned);
    }

    fn list(&self, partitions: impl Iterator<Item = (PartitionId, Offset)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in partitions {
            let offset = rdkafka::Offset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX));
            // Refuses only offsets that mean something else, as negative ones do.
            let _ = list.add_partition_offset(&self.topic, partition.0.cast_signed(), offset);
        }
        list
    }
}

/// Whether trying again changes nothing until somebody changes a right or a setting.
const fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::InvalidSessionTimeout
            | Code::InconsistentGroupProtocol
    )
}

/// The configuration of a member. What is set here nobody may change.
fn client(config: &KafkaConfig, membership: &MembershipConfig) -> rdkafka::ClientConfig {
    let session = membership.session_timeout.max(Duration::from_millis(100));
    let heartbeat = (session / 3).min(HEARTBEAT_MAX);
    let unheard = UNHEARD_MAX.max(session * 2);
    let mut client = config.client(Client::Consumer);
    client
        .set("group.id", config.prefixed(&membership.group))
        // Two members with one client id send the assignor round in circles.
        .set("client.id", format!("{}-member", config.client_id))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.as_millis().to_string())
        .set("heartbeat.interval.ms", heartbeat.as_millis().to_string())
        .set("max.poll.interval.ms", unheard.as_millis().to_string())
        // Should a fetch slip through before the pause, it is a small one.
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "1")
        .set("fetch.message.max.bytes", "1024");
    if let Some(instance_id) = &membership.instance_id {
        client.set("group.instance.id", instance_id);
    }
    client
}
