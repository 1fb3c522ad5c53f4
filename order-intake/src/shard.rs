//! One thread: what it has under way, and what it does when the log moves.

mod tasks;
mod wait;

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_contracts::command::BatchBuilder;
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, watch};

use crate::answer::Reply;
use crate::auth::{Principal, Tokens};
use crate::connection::Connections;
use crate::gate::{Gate, Question};
use crate::headers;
use crate::health::Condition;
use crate::lane::Lane;
use crate::metrics::ShardMetrics;
use crate::problem::{DISK_FULL, FORBIDDEN, OVERLOADED, Problem, UNAUTHENTICATED, UNAVAILABLE};
use crate::rate::Rates;
use crate::respond::{About, Arena};
use crate::shared::Shared;
use crate::trace::{Trace, Traces};
use crate::waiters::{Awaited, Waiters};
use crate::{connection, startup};

pub(crate) use tasks::BEHIND_LOOK;
pub(crate) use wait::{Wait, not_written};

/// What the threads of an intake do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// They accept connections and answer requests.
    Serving,
    /// They answer what has begun, until then.
    Draining { until: Instant },
}

/// A thread's own state. Everything in it is used by this thread alone.
pub(crate) struct Shard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) number: usize,
    pub(crate) connections: Connections,
    pub(crate) arena: RefCell<Arena>,
    pub(crate) metrics: Arc<ShardMetrics>,
    rates: RefCell<Rates>,
    tokens: RefCell<Tokens>,
    lanes: RefCell<Vec<Lane>>,
    waiters: RefCell<Waiters>,
    gate: RefCell<Gate>,
    /// Partitions that are being asked about closed gates.
    asking: Vec<Cell<bool>>,
    traces: Traces,
    something_pending: Notify,
    somebody_waits: Notify,
}

thread_local! {
    /// The shard of this thread, for handlers and waits, which must be able to move between threads and never do.
    static CURRENT: RefCell<Option<Rc<Shard>>> = const { RefCell::new(None) };
}

/// The shard of this thread.
///
/// # Panics
/// On a thread that is no shard.
pub(crate) fn current() -> Rc<Shard> {
    CURRENT.with_borrow(|current| current.clone()).expect("requests are handled on the threads of an intake")
}

/// Runs a shard until it is told to drain. Says whether everything that had begun was answered.
pub(crate) fn run(
    shared: &Arc<Shared>,
    number: usize,
    listener: TcpListener,
    stage: watch::Receiver<Stage>,
) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("the system gives a thread its event queue");
    let shard = Rc::new(Shard::new(Arc::clone(shared), number));
    CURRENT.set(Some(Rc::clone(&shard)));
    let drained = runtime.block_on(async {
        tokio::task::spawn_local(tasks::read_decisions(Rc::clone(&shard)));
        tokio::task::spawn_local(tasks::send_pending(Rc::clone(&shard)));
        tokio::task::spawn_local(tasks::sweep(Rc::clone(&shard)));
        if number == 0 {
            tokio::task::spawn_local(startup::watch_over(Arc::clone(shared)));
        }
        connection::serve(&shard, listener, stage).await
    });
    // Before the thread's own variables go: what still waits looks for the shard while it is dropped.
    drop(runtime);
    CURRENT.set(None);
    drained
}

impl Shard {
    fn new(shared: Arc<Shared>, number: usize) -> Self {
        let config = &shared.config;
        let intake = shared.intakes[number];
        let in_flight_max = usize::from(config.records_in_flight_max.get());
        let lane = |number| {
            let intakes = Arc::clone(&shared.intakes);
            let (log, readers) = (shared.log.as_ref(), shared.sequencer.readers());
            let key = config.control_key;
            Lane::new(PartitionId(number), intake, intakes, in_flight_max, key, log, readers)
        };
        let partitions = shared.partitions as usize;
        Self {
            number,
            connections: Connections::new(config),
            arena: RefCell::default(),
            metrics: Arc::clone(&shared.metrics[number]),
            rates: RefCell::new(Rates::new(config.customer_requests_per_s)),
            tokens: RefCell::new(Tokens::new(&config.auth)),
            lanes: RefCell::new((0..shared.partitions).map(lane).collect()),
            waiters: RefCell::new(Waiters::new(config.waiting_max.get() as usize)),
            gate: RefCell::new(Gate::new(Arc::clone(&shared.progress), partitions)),
            asking: vec![Cell::new(false); partitions],
            traces: Traces::new(),
            something_pending: Notify::new(),
            somebody_waits: Notify::new(),
            shared,
        }
    }

    /// What all answers to a request have in common.
    pub(crate) fn about(&self, headers: &hyper::HeaderMap) -> About {
        let parent =
            headers.get(&headers::TRACEPARENT).and_then(|header| Trace::from_parent(header.as_bytes()));
        About { trace: parent.unwrap_or_else(|| self.traces.next()), waited_s: None }
    }

    /// Who asks.
    pub(crate) fn authenticate(&self, headers: &hyper::HeaderMap) -> Result<Principal, Problem> {
        let token = headers::bearer(headers)?;
        self.tokens.borrow_mut().principal(token, &self.shared.verifier).map_err(|error| {
            tracing::debug!(%error, "a token was refused");
            Problem::plain(&UNAUTHENTICATED)
        })
    }

    /// Who asks, who must be an operator.
    pub(crate) fn authenticate_admin(&self, headers: &hyper::HeaderMap) -> Result<Principal, Problem> {
        let principal = self.authenticate(headers)?;
        if principal.is_admin { Ok(principal) } else { Err(Problem::plain(&FORBIDDEN)) }
    }

    /// How long a request may wait for its decision; what it asked for is told in the answer.
    pub(crate) fn wait(&self, about: &mut About, headers: &hyper::HeaderMap) -> Duration {
        let config = &self.shared.config;
        let preferred_s = headers::preferred_wait_s(headers);
        let default = Duration::from_millis(config.wait_default_ms.get());
        let wait = headers::wait(preferred_s, default, Duration::from_millis(config.wait_max_ms.get()));
        about.waited_s = preferred_s.map(|_| wait.as_secs());
        wait
    }

    /// Refuses a customer who asks too often.
    pub(crate) fn throttle(&self, principal: &Principal, now: Instant) -> Result<(), Problem> {
        self.rates.borrow_mut().take(principal.customer, now)
    }

    /// Refuses what could not be decided now, before anything is written.
    pub(crate) fn admit(&self, partition: PartitionId) -> Result<(), Problem> {
        let health = &self.shared.health;
        if !health.is_started() || !health.partition(partition).takes_commands() {
            return Err(Problem::new(&UNAVAILABLE, "The partition of this SKU is not ready."));
        }
        match health.log() {
            Condition::Good => Ok(()),
            Condition::Full => Err(Problem::plain(&DISK_FULL)),
            _ => Err(Problem::new(&UNAVAILABLE, "The log takes no commands.")),
        }
    }

    /// Sends a command, which `write` writes, and waits for its decision until then.
    pub(crate) fn submit(
        &self,
        partition: PartitionId,
        until: Instant,
        write: impl FnOnce(&mut BatchBuilder),
    ) -> Result<Wait, Problem> {
        self.submit_to(partition, until, false, write)
    }

    /// As [`submit`](Self::submit), for a command that may fill a record by itself.
    pub(crate) fn submit_large(
        &self,
        partition: PartitionId,
        until: Instant,
        write: impl FnOnce(&mut BatchBuilder),
    ) -> Result<Wait, Problem> {
        self.submit_to(partition, until, true, write)
    }

    fn submit_to(
        &self,
        partition: PartitionId,
        until: Instant,
        is_large: bool,
        write: impl FnOnce(&mut BatchBuilder),
    ) -> Result<Wait, Problem> {
        self.admit(partition)?;
        let lane_number = partition.0 as usize;
        let mut lanes = self.lanes.borrow_mut();
        let mut waiters = self.waiters.borrow_mut();
        let lane = &mut lanes[lane_number];
        if lane.is_broken() {
            return Err(Problem::new(&UNAVAILABLE, "The decisions of this partition cannot be read."));
        }
        let log = self.shared.log.as_ref();
        if lane.is_full() || (is_large && !lane.make_room(log, &mut waiters)) {
            return Err(Problem::plain(&OVERLOADED));
        }
        let awaited = Awaited { lane: lane_number, tag: lane.next_tag() };
        let Some(key) = waiters.enter(until, Some(awaited)) else {
            return Err(Problem::plain(&OVERLOADED));
        };
        lane.push(key, write);
        self.shared.progress.set_taken(self.number, lane_number, lane.next_tag());
        if is_large {
            lane.make_room(log, &mut waiters);
        }
        if waiters.len() == 1 {
            self.somebody_waits.notify_one();
        }
        self.something_pending.notify_one();
        Ok(Wait(Some(key)))
    }

    /// Whether the gate of a SKU is closed, so that the machine is to be asked first.
    pub(crate) fn is_gate_closed(&self, sku: &str) -> bool {
        self.shared.config.gate && self.gate.borrow().is_closed(sku)
    }

    /// Partitions besides `own` that may remember reservations and can be asked.
    pub(crate) fn elsewhere(&self, own: PartitionId) -> impl Iterator<Item = PartitionId> {
        let may_remember = move |it: &PartitionId| {
            *it != own
                && self.shared.is_reserved_in(*it)
                && self.shared.health.partition(*it).takes_commands()
        };
        (0..self.shared.partitions).map(PartitionId).filter(may_remember)
    }

    /// Asks the machine about a request, before anything is written.
    pub(crate) fn ask(
        &self,
        partition: PartitionId,
        until: Instant,
        question: Question,
    ) -> Result<Wait, Problem> {
        self.admit(partition)?;
        let mut waiters = self.waiters.borrow_mut();
        let Some(waiter) = waiters.enter(until, None) else {
            return Err(Problem::plain(&OVERLOADED));
        };
        if waiters.len() == 1 {
            self.somebody_waits.notify_one();
        }
        self.gate.borrow_mut().ask(partition.0 as usize, question, waiter);
        self.something_pending.notify_one();
        Ok(Wait(Some(waiter)))
    }

    /// The gate of a SKU was closed for nothing.
    pub(crate) fn open_gate(&self, sku: &str) {
        self.gate.borrow_mut().open(sku);
    }

    /// Reads what was decided, answers, and sends what has come meanwhile.
    fn turn(self: &Rc<Self>) {
        let log = self.shared.log.as_ref();
        {
            let mut lanes = self.lanes.borrow_mut();
            let mut waiters = self.waiters.borrow_mut();
            let mut gate = self.gate.borrow_mut();
            for lane in lanes.iter_mut() {
                lane.read(log, &mut waiters, &mut |sku| gate.close(sku));
                // Before anybody who was answered can come back and look.
                self.shared.progress.set_decided(
                    self.number,
                    lane.partition().0 as usize,
                    lane.decided_before(),
                );
                if lane.has_heard_strangers() {
                    self.shared.note_reserved_in(lane.partition());
                }
            }
        }
        self.send();
    }

    /// Sends what is pending, and asks what is to be asked.
    fn send(self: &Rc<Self>) {
        let log = self.shared.log.as_ref();
        {
            let mut lanes = self.lanes.borrow_mut();
            let mut waiters = self.waiters.borrow_mut();
            for (number, lane) in lanes.iter_mut().enumerate() {
                lane.flush(log, &mut waiters);
                self.shared.progress.set_taken(self.number, number, lane.next_tag());
                self.shared.progress.set_answered(self.number, number, lane.answered_tag());
            }
            self.metrics.note_sent(lanes.iter().map(|lane| lane.sent));
            self.metrics.note_waiting(waiters.len(), self.gate.borrow().closed_count());
        }
        if self.gate.borrow().has_questions() {
            for partition in 0..self.shared.partitions {
                self.ask_machine(PartitionId(partition));
            }
        }
    }

    /// Begins to ask a partition what is due, unless it is being asked already.
    fn ask_machine(self: &Rc<Self>, partition: PartitionId) {
        let number = partition.0 as usize;
        if self.asking[number].replace(true) {
            return;
        }
        let due = self.gate.borrow_mut().due(number);
        if due.is_empty() {
            self.asking[number].set(false);
            return;
        }
        tokio::task::spawn_local(tasks::ask_all(Rc::clone(self), partition, due));
    }

    /// Answers those whose time is up.
    fn sweep(&self, now: Instant) {
        let lanes = self.lanes.borrow();
        let patience = Duration::from_millis(self.shared.config.durable_wait_ms.get());
        self.waiters.borrow_mut().sweep(now, |until, awaited| match awaited {
            // Nothing was written: the log may be asked as well.
            None => Some(Reply::Proceed),
            Some(awaited) if lanes[awaited.lane].is_durable(awaited.tag) => Some(Reply::Late),
            Some(_) => (now >= until + patience).then_some(Reply::Unknown),
        });
    }
}
