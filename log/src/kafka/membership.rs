//! Who owns which partition: a consumer group that is used for membership and nothing else.

mod context;
mod run;
mod shared;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holdfast_contracts::{Offset, PartitionId};

use self::shared::Shared;
use super::admin::Admin;
use super::{KafkaConfig, KafkaError};

/// How long the brokers may take to say who is in a group.
const OTHERS_WITHIN: Duration = Duration::from_secs(3);

/// How a process takes part in the ownership of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipConfig {
    /// The group. [`MembershipConfig::new`] takes `holdfast-sequencer`; the topic prefix is put before it.
    pub group: String,
    /// A name that stays with this process over restarts. With it, a process that comes back within the session
    /// time-out keeps its partitions. Two processes with the same name fence each other.
    pub instance_id: Option<String>,
    /// After so long without a sign of life the partitions go to others. Default 10 s.
    pub session_timeout: Duration,
    /// How long the owner may take to release a partition that goes to another. Default 5 s.
    pub release_timeout: Duration,
    /// How often the offsets given to [`Membership::commit`] are sent. Default 1 s.
    pub commit_every: Duration,
    /// How long dropping a membership may take. Default 3 s.
    pub close_timeout: Duration,
}

/// Tells one assignment from another: rises with every one that this process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// What happened to the ownership of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// This process owns the partition.
    Assigned {
        /// The partition.
        partition: PartitionId,
        /// Names this ownership.
        generation: Generation,
    },
    /// The partition goes to another process as soon as [`Membership::release`] is called, or the release time-out is
    /// over.
    Revoked {
        /// The partition.
        partition: PartitionId,
        /// The ownership that ends.
        generation: Generation,
    },
    /// The partition may belong to another process already.
    Lost {
        /// The partition.
        partition: PartitionId,
        /// The ownership that has ended.
        generation: Generation,
    },
    /// The group has another member under the same instance id: another process, or this one as a coordinator took it that
    /// had just taken over. This membership is out of the group for good.
    Fenced,
    /// Membership does not work any more and must be joined again.
    Failed {
        /// What went wrong, for people.
        reason: String,
    },
    /// The group was left, as asked.
    Left,
}

/// What a membership has seen so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MembershipNumbers {
    /// Times that partitions were given or taken.
    pub rebalances: u64,
    /// The partitions that are owned.
    pub assigned: BTreeMap<PartitionId, Generation>,
    /// The group's own generation, as the brokers count it. None before the group was joined, and after partitions were
    /// lost until it is joined again.
    pub group_generation: Option<u32>,
    /// Records that the client library fetched. None are wanted, and fetching is paused.
    pub fetched: u64,
    /// Commits of offsets that failed.
    pub commit_failures: u64,
    /// The last thing that went wrong with the brokers, for people.
    pub last_error: Option<String>,
}

/// A place in the group. Dropping it ends the membership without leaving the group if there is an instance id, so that
/// a process that restarts at once keeps its partitions.
///
/// The membership says nothing of whether the owner still works: an owner that is stuck keeps its partitions until
/// somebody calls [`Self::leave`], drops this, or ends the process. Only with thousands of events untaken nothing more is
/// asked of the brokers, and the partitions go to others after a minute.
pub struct Membership {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    close_timeout: Duration,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("numbers", &self.numbers()).finish_non_exhaustive()
    }
}

impl MembershipConfig {
    /// The group of the sequencers, without an instance id.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for MembershipConfig {
    fn default() -> Self {
        Self {
            group: "holdfast-sequencer".to_owned(),
            instance_id: None,
            session_timeout: Duration::from_secs(10),
            release_timeout: Duration::from_secs(5),
            commit_every: Duration::from_secs(1),
            close_timeout: Duration::from_secs(3),
        }
    }
}

impl Membership {
    /// Joins the group. `waker` is woken whenever there is an event to take.
    ///
    /// Returns at once; partitions come as events.
    ///
    /// # Errors
    /// If the configuration does not work.
    pub fn join(
        config: &KafkaConfig,
        membership: MembershipConfig,
        waker: Waker,
    ) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared::new(waker));
        let close_timeout = membership.close_timeout;
        let member = run::Member::join(config, membership, Arc::clone(&shared))?;
        let thread = thread::Builder::new().name("membership".to_owned()).spawn(move || member.run());
        let thread = thread.map_err(|error| KafkaError::Refused {
            doing: "joining the group".to_owned(),
            reason: error.to_string(),
            retryable: true,
        })?;
        Ok(Self { shared, thread: Some(thread), close_timeout })
    }

    /// Whether the group has members beside this process, whether it has joined or not. One that died is a member until its
    /// session ends.
    ///
    /// Blocks, for three seconds at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn has_others(config: &KafkaConfig, membership: &MembershipConfig) -> Result<bool, KafkaError> {
        let admin = Admin::connect(config, "looking at the group", OTHERS_WITHIN)?;
        let members = admin.members(&config.prefixed(&membership.group))?;
        let instance = membership.instance_id.as_deref();
        Ok(members.iter().any(|member| instance.is_none_or(|instance| !is_of_instance(member, instance))))
    }

    /// The next event, if there is one at hand.
    #[must_use]
    pub fn try_next(&self) -> Option<MemberEvent> {
        self.shared.take_event()
    }

    /// The next event, waiting for it until `deadline`.
    #[must_use]
    pub fn next_until(&self, deadline: Instant) -> Option<MemberEvent> {
        self.shared.wait_for_event(deadline)
    }

    /// Says that this process does nothing more on behalf of that ownership. Needed after [`MemberEvent::Revoked`] to
    /// hand over at once; ignored if the ownership has ended. Released before it is revoked, it is handed over as soon as
    /// it is.
    pub fn release(&self, partition: PartitionId, generation: Generation) {
        self.shared.release(partition, generation);
    }

    /// Notes the offset of the next record that is to be applied. Sent once in a while, for tools that show lag; nothing
    /// is ever read from there.
    pub fn commit(&self, partition: PartitionId, next: Offset) {
        self.shared.note_offset(partition, next);
    }

    /// Leaves the group for a planned hand-over: every partition is revoked, and when the last is released others own
    /// them at once, with an instance id too. [`MemberEvent::Left`] is the last event.
    pub fn leave(&self) {
        self.shared.ask_to_leave();
    }

    /// What was seen so far.
    #[must_use]
    pub fn numbers(&self) -> MembershipNumbers {
        self.shared.numbers()
    }
}

/// Whether the brokers named this member after the instance: its id, a hyphen and a UUID.
fn is_of_instance(member: &str, instance: &str) -> bool {
    const UUID_CHARS: usize = 36;
    let rest = member.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|uuid| uuid.len() == UUID_CHARS)
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.ask_to_stop();
        // The client library may wait for a broker that is away. The thread then ends by itself, some time later.
        if self.shared.wait_until_ended(Instant::now() + self.close_timeout)
            && let Some(thread) = self.thread.take()
        {
            // A panic of the thread was told as an event.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_told_by_its_instance() {
        const UUID: &str = "-01234567-89ab-cdef-0123-456789abcdef";
        assert!(is_of_instance(&format!("one{UUID}"), "one"));
        assert!(!is_of_instance(&format!("one-more{UUID}"), "one"));
        assert!(!is_of_instance(&format!("two{UUID}"), "one"));
        assert!(!is_of_instance("one", "one"));
    }
}
