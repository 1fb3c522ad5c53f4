//! What runs beside the requests of a thread, for as long as it does.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_log::StreamId;
use tokio::sync::oneshot;

use super::Shard;
use crate::answer::Reply;
use crate::gate::{self, Question, Verdict};
use crate::waiters::WaiterKey;

/// How often waits are looked through for those whose time is up.
const SWEEP: Duration = Duration::from_millis(10);

/// Asks a partition whatever is to be asked, again and again until nothing is.
pub(super) async fn ask_all(shard: Rc<Shard>, partition: PartitionId, mut due: Vec<(Question, WaiterKey)>) {
    let number = partition.0 as usize;
    while !due.is_empty() {
        let questions: Vec<Question> = due.iter().map(|(question, _)| question.clone()).collect();
        let (answer, answered) = oneshot::channel();
        let asked = shard.shared.sequencer.query(
            partition,
            Box::new(move |machine, status| {
                // The shard may have ended meanwhile.
                answer.send(gate::verdicts(machine, status, partition, &questions)).ok();
            }),
        );
        let verdicts = if asked.is_ok() { answered.await.unwrap_or_default() } else { Vec::new() };
        let mut verdicts: VecDeque<Verdict> = verdicts.into();
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
