//! The loop of one thread: gathers what is due into records, sends them, and hands decisions to whoever asked.

use std::time::{Duration, Instant};

use holdfast_contracts::decision::DecisionBatch;
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{IntakeId, PartitionId};
use holdfast_log::{AppendError, Listener, ReadError, StreamId, Subscription, doorbell};

use super::answer::{heard, odd};
use super::asking::{Asking, Heard};
use super::lane::{self, Lane, Sent, answered};
use super::{Post, ends, ids};
use crate::books::{Ask, Moment, Position, Stopwatch};
use crate::generator::{Counts, Standing, Times, Wheel, histogram};

/// The plan is looked at this often even if nothing happens, for whoever wants the run to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerConfig {
    /// Commands under way at most. In the open model what comes beyond is dropped.
    pub(crate) under_way_max: usize,
    /// Somebody asks as soon as somebody was answered; nothing is late.
    pub(crate) is_closed: bool,
}

/// Everything that is asked through Kafka from here.
pub(crate) struct Worker<'a, S: Asking> {
    post: &'a Post,
    asking: S,
    skus: &'a [String],
    config: WorkerConfig,
    watch: Stopwatch,
    intake: IntakeId,
    lanes: Vec<Lane<S::Job>>,
    planned: Option<(Moment, S::Job)>,
    later: Wheel<S::Job>,
    /// Commands that wait for company.
    waiting: usize,
    standing: Standing,
    listener: Listener,
    _woken: Vec<Subscription>,
}

impl<'a, S: Asking> Worker<'a, S> {
    /// A worker that hears of whatever is decided from now on. `skus` are the names of the SKUs, by number.
    ///
    /// # Errors
    /// If the brokers do not say where the decisions end.
    pub(crate) fn new(
        post: &'a Post,
        asking: S,
        skus: &'a [String],
        config: WorkerConfig,
        watch: Stopwatch,
    ) -> Result<Self, ReadError> {
        let (bell, listener) = doorbell();
        let numbered = || (0u32..).map(PartitionId);
        let ends = ends(post.log.as_ref())?;
        let woken = numbered()
            .zip(&ends)
            .map(|(partition, _)| post.log.subscribe(StreamId::inventory_decisions(partition), bell.waker()));
        Ok(Self {
            post,
            asking,
            skus,
            config,
            watch,
            intake: post.ids.intake(fastrand::u64(..)),
            _woken: woken.collect(),
            lanes: numbered().zip(&ends).map(|(partition, end)| Lane::new(partition, *end)).collect(),
            planned: None,
            later: Wheel::new(),
            waiting: 0,
            standing: Standing { counts: Counts::default(), lag: histogram(), in_flight: 0 },
            listener,
        })
    }

    /// Works until the plan is over and everything was answered or given up. Decisions that cannot be read any more are
    /// noted as a fault, and nobody hears of them.
    pub(crate) fn run(mut self) -> (S, Standing) {
        self.planned = self.asking.next(self.watch.now(), &mut self.later);
        while !self.is_done() {
            self.listener.take();
            let now = self.watch.now();
            self.asking.look(now, &mut self.standing);
            self.gather(now);
            self.send_what_waited();
            let found = self.hear();
            self.give_up();
            if !found {
                let pause = self.pause();
                self.listener.wait_until(Instant::now() + pause);
            }
        }
        let mut noted = self.post.lock();
        for lane in self.lanes {
            let (seen, mut faults) = lane.follower.finish();
            noted.seen.extend(seen);
            noted.faults.append(&mut faults);
        }
        drop(noted);
        (self.asking, self.standing)
    }

    fn is_done(&self) -> bool {
        let is_spent = self.planned.is_none() && self.later.len() == 0 && self.waiting == 0;
        let nothing_to_send = self.asking.is_over() || (is_spent && self.asking.ends() <= self.watch.now());
        nothing_to_send && self.lanes.iter().all(Lane::is_done)
    }

    /// Puts what is due into the lanes.
    fn gather(&mut self, now: Moment) {
        if self.asking.is_over() {
            let dropped: usize = self.lanes.iter_mut().map(Lane::drop_waiting).sum();
            self.standing.counts.dropped += dropped as u64;
            self.waiting = 0;
            return;
        }
        while let Some((due, job)) = self.take_planned(now) {
            self.planned = self.asking.next(now, &mut self.later);
            self.standing.counts.due += 1;
            if self.standing.in_flight + self.waiting < self.config.under_way_max {
                self.put(due, job);
            } else {
                self.standing.counts.dropped += 1;
            }
        }
        while let Some((due, job)) = self.later.take(now) {
            // What follows from an answer is never dropped: somebody has something in their hands.
            self.standing.counts.due += 1;
            self.put(due, job);
        }
    }

    /// What is due of the plan; in the closed model, whatever somebody is free for.
    fn take_planned(&mut self, now: Moment) -> Option<(Moment, S::Job)> {
        if !self.config.is_closed {
            return self.planned.take_if(|(at, _)| *at <= now);
        }
        if self.standing.in_flight + self.waiting >= self.config.under_way_max {
            return None;
        }
        self.planned.take().map(|(_, job)| (now, job))
    }

    fn put(&mut self, due: Moment, job: S::Job) {
        let Some((customer, ask)) = self.asking.ask(&job) else { return };
        let partition = self.home(ask);
        let number = usize::try_from(partition.0).unwrap_or(usize::MAX);
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let (ids, skus) = (self.post.ids, self.skus);
        // The job is still asked about while its command is written.
        let ask = ask.clone();
        lane.put(self.intake, |builder| lane::write(builder, ids, skus, partition, customer, &ask), due, job);
        self.waiting += 1;
        if lane.is_full() {
            self.send(number);
        }
    }

    /// The partition that decides about it.
    fn home(&self, ask: &Ask) -> PartitionId {
        match ask {
            Ask::Reserve { body, .. } => {
                let first = body.lines().iter().next().map_or("", |(sku, _)| lane::name(self.skus, sku));
                partition_of(first, self.post.partitions())
            }
            Ask::Confirm { reservation } | Ask::Release { reservation } | Ask::Read { reservation } => {
                ids::partition_of(lane::id_of(reservation))
            }
        }
    }

    fn send_what_waited(&mut self) {
        let linger = self.post.linger;
        for number in 0..self.lanes.len() {
            if self.lanes[number].goes_at(linger).is_some_and(|at| at <= self.watch.now()) {
                self.send(number);
            }
        }
    }

    /// Sends what waits in a lane.
    fn send(&mut self, number: usize) {
        let lane = &mut self.lanes[number];
        let sent = self.watch.now();
        let Some(ready) = lane.take(sent) else { return };
        let (commands, bytes) = (ready.commands as u64, ready.payload.len() as u64);
        self.waiting -= ready.commands;
        self.standing.in_flight += ready.commands;
        let counts = &mut self.standing.counts;
        (counts.sent, counts.bytes_sent) = (counts.sent + commands, counts.bytes_sent + bytes);
        // To wait for company is no fault; to wait longer is the generator's own.
        let late = sent.since(ready.due.plus(self.post.linger));
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX).max(1);
        self.standing.lag.saturating_record_n(late, commands);
        let stream = StreamId::inventory_commands(lane.follower.partition);
        if let Err(error) = self.post.log.append(stream, ready.payload) {
            if matches!(error, AppendError::Interrupted) {
                // Whoever asked for what was lost asks again by themselves, in whatever order.
                self.post.log.resume(stream);
            }
            self.standing.counts.broken += commands;
            if let Some(sent) = lane.not_taken() {
                self.settle(sent, &Heard::NOT_TAKEN);
            }
        }
    }

    /// Takes the decisions that have come. False if there were none.
    fn hear(&mut self) -> bool {
        let mut found = false;
        for lane in &mut self.lanes {
            let partition = lane.follower.partition.0;
            let (follower, under_way) = lane.parts();
            let (asking, later) = (&mut self.asking, &mut self.later);
            let (standing, watch, skus, intake) = (&mut self.standing, self.watch, self.skus, self.intake);
            found |= follower.read(self.post.log.as_ref(), |batch, bytes| {
                if batch.header.intake_id != intake {
                    return;
                }
                standing.counts.bytes_received += bytes as u64;
                let Some(sent) = answered(under_way, batch) else { return };
                standing.in_flight -= sent.jobs.len();
                standing.counts.answered += sent.jobs.len() as u64;
                tell(asking, later, skus, partition, batch, sent, watch.now());
            });
        }
        found
    }

    fn give_up(&mut self) {
        let then = self.watch.now().minus(self.asking.patience());
        for number in 0..self.lanes.len() {
            while let Some(sent) = self.lanes[number].give_up(then) {
                self.standing.counts.timed_out += sent.jobs.len() as u64;
                self.settle(sent, &Heard::SILENCE);
            }
        }
    }

    /// Ends commands of which no decision is known.
    fn settle(&mut self, sent: Sent<S::Job>, heard: &Heard) {
        let done = self.watch.now();
        self.standing.in_flight -= sent.jobs.len();
        for (intended, job) in sent.jobs {
            self.asking.done(job, Times { intended, sent: sent.at, done }, heard.clone(), &mut self.later);
        }
    }

    /// How long nothing need be done. What is due soon waits for company anyway, so nobody gets up for each.
    fn pause(&mut self) -> Duration {
        let linger = self.post.linger;
        let planned = self.planned.as_ref().map(|(at, _)| *at).filter(|_| !self.config.is_closed);
        let due = [planned, self.later.next()].into_iter().flatten().map(|at| at.plus(linger));
        let ready = self.lanes.iter().filter_map(|lane| lane.goes_at(linger));
        let patience = self.asking.patience();
        let given_up = self.lanes.iter().filter_map(|it| Some(it.oldest()?.plus(patience)));
        let next = due.chain(ready).chain(given_up).min();
        next.map_or(LOOK_EVERY, |next| next.since(self.watch.now()).min(LOOK_EVERY))
    }
}

/// Tells everybody in a record what was decided for them.
fn tell<S: Asking>(
    asking: &mut S,
    later: &mut Wheel<S::Job>,
    skus: &[String],
    partition: u32,
    batch: &DecisionBatch<'_>,
    sent: Sent<S::Job>,
    done: Moment,
) {
    let names: Vec<&str> = batch.skus().collect();
    let mut decisions = batch.decisions();
    for ((intended, job), index) in sent.jobs.into_iter().zip(0u32..) {
        let position = Position { partition, offset: batch.envelope.source_offset.0, index };
        let heard = match (decisions.next(), asking.ask(&job)) {
            (Some(decision), Some((_, ask))) => heard(ask, &decision, position, &names, skus),
            (None, _) => odd(&format!("the record was not understood: {:?}", batch.malformed)),
            (_, None) => Heard::SILENCE,
        };
        asking.done(job, Times { intended, sent: sent.at, done }, heard, later);
    }
}
