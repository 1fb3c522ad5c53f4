//! What the client library calls back with. It notes changes of the assignment; the membership's thread answers them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_contracts::PartitionId;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka::{ClientContext, TopicPartitionList};

use super::shared::Shared;

/// A change of the assignment that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Assign(Vec<PartitionId>),
    Revoke(Vec<PartitionId>),
}

pub(super) struct GroupContext {
    shared: Arc<Shared>,
    topic: String,
    changes: Mutex<VecDeque<Change>>,
    errors: Mutex<VecDeque<(Code, String)>>,
    /// The consumer is being closed: nobody is there to answer.
    closing: AtomicBool,
    /// A commit failed, so what was sent is not known to be there.
    commit_failed: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(shared: Arc<Shared>, topic: String) -> Self {
        Self {
            shared,
            topic,
            changes: Mutex::default(),
            errors: Mutex::default(),
            closing: AtomicBool::new(false),
            commit_failed: AtomicBool::new(false),
        }
    }

    pub(super) fn next_change(&self) -> Option<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(super) fn next_error(&self) -> Option<(Code, String)> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn take_commit_failed(&self) -> bool {
        self.commit_failed.swap(false, Ordering::SeqCst)
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<PartitionId> {
        let ours = list.elements_for_topic(&self.topic);
        ours.iter().filter_map(|element| u32::try_from(element.partition()).ok().map(PartitionId)).collect()
    }
}

impl ClientContext for GroupContext {
    // What matters comes as an error too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: ClientError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.push_back((code, reason.to_owned()));
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assign = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            // Without an answer the consumer would never be closed. An assignment that comes now is taken back by the
            // closing itself.
            let _ =
                if assign { consumer.incremental_assign(list) } else { consumer.incremental_unassign(list) };
            return;
        }
        let partitions = self.partitions(list);
        let change = if assign { Change::Assign(partitions) } else { Change::Revoke(partitions) };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if result.is_err() {
            self.commit_failed.store(true, Ordering::SeqCst);
            self.shared.count(|numbers| numbers.commit_failures += 1);
        }
    }
}
