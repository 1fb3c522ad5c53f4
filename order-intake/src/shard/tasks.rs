//! What runs beside the requests of a thread, for as long as it does.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_log::StreamId;
use tokio::sync::oneshot;

use super::Shard;
use crate::answer::Reply;
use crate::gate::{self, Question, Verdict};
use crate::waiters::WaiterKey;

/// How long questions wait for a machine that is behind, and how often it is asked.
const BEHIND_MAX: Duration = Duration::from_millis(100);
pub(crate) const BEHIND_LOOK: Duration = Duration::from_millis(1);
/// How often waits are looked through for those whose time is up.
const SWEEP: Duration = Duration::from_millis(10);

/// Asks a partition whatever is to be asked, again and again until nothing is.
pub(super) async fn ask_all(shard: Rc<Shard>, partition: PartitionId, mut due: Vec<(Question, WaiterKey)>) {
    let number = partition.0 as usize;
    while !due.is_empty() {
        let questions: Vec<Question> = due.iter().map(|(question, _)| question.clone()).collect();
        let mut verdicts: VecDeque<Verdict> = ask_machine(&shard, partition, questions).await.into();
        let mut waiters = shard.waiters.borrow_mut();
        for (_, waiter) in due {
            // Who cannot be answered here is answered by the log.
            let reply = match verdicts.pop_front() {
                Some(Verdict::SoldOut(position)) => Reply::SoldOut(position),
                Some(Verdict::Remembered) => Reply::Remembered,
                Some(Verdict::Proceed) | None => Reply::Proceed,
            };
            waiters.complete(waiter, reply);
        }
        drop(waiters);
        due = shard.gate.borrow_mut().due(number);
    }
    shard.asking[number].set(false);
}

/// Asks a machine, again if it is a little behind what was told already. Says nothing if it cannot be asked, or stays behind.
async fn ask_machine(shard: &Shard, partition: PartitionId, questions: Vec<Question>) -> Vec<Verdict> {
    let told = shard.shared.progress.told(partition);
    let questions = Arc::new(questions);
    let until = Instant::now() + BEHIND_MAX;
    loop {
        let (answer, answered) = oneshot::channel();
        let questions = Arc::clone(&questions);
        let asked = shard.shared.sequencer.query(
            partition,
            Box::new(move |machine, status| {
                // The shard may have ended meanwhile.
                answer.send(gate::verdicts(machine, status, partition, told, &questions)).ok();
            }),
        );
        if asked.is_err() {
            return Vec::new();
        }
        match answered.await {
            Ok(Some(verdicts)) => return verdicts,
            Ok(None) if Instant::now() < until => tokio::time::sleep(BEHIND_LOOK).await,
            Ok(None) | Err(_) => return Vec::new(),
        }
    }
}

/// Wakes whenever decisions come.
pub(super) async fn read_decisions(shard: Rc<Shard>) {
    let mut subscriptions = Vec::new();
    poll_fn(|context| {
        if subscriptions.is_empty() {
            let streams =
                (0..shard.shared.partitions).map(|it| StreamId::inventory_decisions(PartitionId(it)));
            subscriptions =
                streams.map(|it| shard.shared.log.subscribe(it, context.waker().clone())).collect();
        }
        shard.turn();
        Poll::<()>::Pending
    })
    .await;
}

/// Sends what has come while other requests were looked at: a batch is what one round of the event loop brought.
pub(super) async fn send_pending(shard: Rc<Shard>) {
    loop {
        shard.something_pending.notified().await;
        shard.send();
    }
}

pub(super) async fn sweep(shard: Rc<Shard>) {
    loop {
        if shard.waiters.borrow().len() == 0 {
            shard.somebody_waits.notified().await;
        }
        tokio::time::sleep(SWEEP).await;
        // A log that failed or made room does not show in the decisions.
        shard.turn();
        shard.sweep(Instant::now());
    }
}
