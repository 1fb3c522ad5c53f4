//! The loop of one thread: sends what is due on connections of its own, and hands answers to whoever asked.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::connection::{Connection, Progress};
use super::figures::{Counts, histogram, record};
use super::poller::Poller;
use super::response::Head;
use super::wheel::Wheel;
use crate::books::{Moment, Stopwatch};

/// The plan is looked at this often even if nothing happens, for whoever wants the run to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A connection that could not be made is tried again after so long.
const RECONNECT_AFTER: Duration = Duration::from_millis(20);

/// What is asked for, and what follows from an answer.
pub(crate) trait Script {
    /// One request.
    type Job;

    /// The next request of the plan and when it is due, in order. Nothing when there are no more. What goes with it at another
    /// time is put into `later`. In the closed model it is asked for when a connection is free, and what it gives is due
    /// at once.
    fn next(&mut self, now: Moment, later: &mut Wheel<Self::Job>) -> Option<(Moment, Self::Job)>;

    /// Writes the request as it goes over the wire.
    fn write(&mut self, job: &Self::Job, request: &mut Vec<u8>);

    /// How long the answer is waited for.
    fn patience(&self, job: &Self::Job) -> Duration;

    /// What came of it, and what is to be asked later on. Without an answer nothing is known.
    fn done(
        &mut self,
        job: Self::Job,
        times: Times,
        answer: Option<(&Head, &[u8])>,
        later: &mut Wheel<Self::Job>,
    );

    /// The plan goes on until then, even if nothing is due any more.
    fn ends(&self) -> Moment {
        Moment(0)
    }

    /// Whether nothing more is to be sent.
    fn is_over(&self) -> bool {
        false
    }

    /// Told again and again how things stand. Whoever reports takes the figures out of it.
    fn look(&mut self, _: Moment, _: &mut Standing) {}
}

/// How things stand with a worker.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Since the beginning.
    pub(crate) counts: Counts,
    /// How late requests were taken up, whether a connection was free for them or not: the generator's own fault. Since it
    /// was taken out.
    pub(crate) lag: Histogram<u64>,
    pub(crate) in_flight: usize,
}

/// When a request was due, sent and answered or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) intended: Moment,
    pub(crate) sent: Moment,
    pub(crate) done: Moment,
}

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerConfig {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// More requests than that do not wait for a connection: they are dropped and counted.
    pub(crate) waiting_max: usize,
    /// Every connection asks as soon as it was answered; nothing waits and nothing is late.
    pub(crate) is_closed: bool,
}

/// One thread's part of the load.
pub(crate) struct Worker<S: Script> {
    script: S,
    config: WorkerConfig,
    watch: Stopwatch,
    poller: Poller,
    places: Vec<Place<S::Job>>,
    idle: Vec<usize>,
    planned: Option<(Moment, S::Job)>,
    later: Wheel<S::Job>,
    waiting: VecDeque<(Moment, S::Job)>,
    /// Places without a connection, and when to try for one.
    down: Wheel<usize>,
    /// When to look whether an answer is still waited for: at which place.
    patience: Wheel<usize>,
    standing: Standing,
    /// From when on there has been no connection, in the closed model.
    cut_off_since: Option<Moment>,
}

/// A connection, or room for one.
struct Place<J> {
    connection: Option<Connection>,
    under_way: Option<(Moment, Moment, J)>,
    /// The answer is not waited for beyond this moment.
    deadline: Moment,
    /// When the wheel will come by, at the latest: most answers come in time, so it need not know of each of them.
    alarm: Option<Moment>,
}

impl<S: Script> Worker<S> {
    /// A worker with all its connections opened.
    ///
    /// # Errors
    /// If the system has no more sockets.
    pub(crate) fn new(script: S, config: WorkerConfig, watch: Stopwatch) -> io::Result<Self> {
        let mut worker = Self {
            script,
            config,
            watch,
            poller: Poller::new()?,
            places: Vec::new(),
            idle: Vec::new(),
            planned: None,
            later: Wheel::new(),
            waiting: VecDeque::new(),
            down: Wheel::new(),
            patience: Wheel::new(),
            standing: Standing { counts: Counts::default(), lag: histogram(), in_flight: 0 },
            cut_off_since: None,
        };
        for number in 0..config.connections {
            let connection = Connection::open(config.address, &worker.poller, number)?;
            let connection = Some(connection);
            worker.places.push(Place { connection, under_way: None, deadline: Moment(0), alarm: None });
            worker.idle.push(number);
        }
        Ok(worker)
    }

    /// Works until the plan is over and everything was answered or given up.
    ///
    /// # Errors
    /// If the system does not say any more what happens on the connections.
    pub(crate) fn run(mut self) -> io::Result<(S, Standing)> {
        self.planned = self.script.next(self.watch.now(), &mut self.later);
        let mut told = Vec::new();
        while !self.is_done() {
            let now = self.watch.now();
            self.script.look(now, &mut self.standing);
            self.gather(now);
            self.give_up(now);
            self.connect(now);
            self.send_waiting();
            let pause = self.pause();
            self.poller.wait(pause, &mut told)?;
            for (number, is_writable) in told.drain(..) {
                self.look(number, is_writable);
            }
        }
        Ok((self.script, self.standing))
    }

    fn is_done(&self) -> bool {
        let is_spent = self.planned.is_none() && self.later.len() == 0 && self.waiting.is_empty();
        let nothing_to_send = self.script.is_over() || (is_spent && self.script.ends() <= self.watch.now());
        nothing_to_send && self.places.iter().all(|place| place.under_way.is_none())
    }

    /// Puts what is due into the queue.
    fn gather(&mut self, now: Moment) {
        while let Some((at, job)) = self.take_planned(now) {
            self.planned = self.script.next(now, &mut self.later);
            self.standing.counts.due += 1;
            record(&mut self.standing.lag, now.since(at));
            if self.waiting.len() < self.config.waiting_max {
                self.waiting.push_back((at, job));
            } else {
                self.standing.counts.dropped += 1;
            }
        }
        while let Some((at, job)) = self.later.take(now) {
            // What follows from an answer is never dropped: somebody has something in their hands.
            self.standing.counts.due += 1;
            record(&mut self.standing.lag, now.since(at));
            self.waiting.push_back((at, job));
        }
        if self.script.is_over() {
            self.standing.counts.dropped += self.waiting.len() as u64;
            self.waiting.clear();
        }
    }

    /// What is due of the plan; in the closed model, what a free connection can take.
    fn take_planned(&mut self, now: Moment) -> Option<(Moment, S::Job)> {
        if !self.config.is_closed {
            return self.planned.take_if(|(at, _)| *at <= now);
        }
        if self.waiting.len() >= self.idle.len() {
            return None;
        }
        self.planned.take().map(|(_, job)| (now, job))
    }

    fn give_up(&mut self, now: Moment) {
        self.give_up_waiting(now);
        while let Some((at, number)) = self.patience.take(now) {
            let place = &mut self.places[number];
            place.alarm = place.alarm.filter(|alarm| *alarm != at);
            if place.under_way.is_none() {
                continue;
            }
            if place.deadline > now {
                self.set_alarm(number);
            } else {
                self.standing.counts.timed_out += 1;
                self.finish(number, None);
            }
        }
    }

    /// Nobody waits longer for a connection than for an answer. In the closed model nothing waits, so there one request of the
    /// plan is dropped in each look while there is no connection at all; otherwise a server that is gone would be waited for
    /// for ever.
    fn give_up_waiting(&mut self, now: Moment) {
        let is_late = |since: Moment, patience: Duration| now.since(since) > patience;
        while let Some((intended, job)) =
            self.waiting.pop_front_if(|(at, job)| is_late(*at, self.script.patience(job)))
        {
            self.standing.counts.timed_out += 1;
            let times = Times { intended, sent: now, done: now };
            self.script.done(job, times, None, &mut self.later);
        }
        let is_cut_off = self.config.is_closed && self.idle.is_empty() && self.standing.in_flight == 0;
        if !is_cut_off {
            self.cut_off_since = None;
            return;
        }
        let since = *self.cut_off_since.get_or_insert(now);
        if let Some((_, job)) = self.planned.take_if(|(_, job)| is_late(since, self.script.patience(job))) {
            drop(job);
            self.standing.counts.due += 1;
            self.standing.counts.dropped += 1;
            self.planned = self.script.next(now, &mut self.later);
        }
    }

    /// Has the wheel come by when the answer is due at the latest, if it does not come by before that.
    fn set_alarm(&mut self, number: usize) {
        let place = &mut self.places[number];
        if place.alarm.is_none_or(|alarm| alarm > place.deadline) {
            place.alarm = Some(place.deadline);
            self.patience.put(place.deadline, number);
        }
    }

    fn connect(&mut self, now: Moment) {
        while let Some((_, number)) = self.down.take(now) {
            match Connection::open(self.config.address, &self.poller, number) {
                Ok(connection) => {
                    self.places[number].connection = Some(connection);
                    self.idle.push(number);
                }
                Err(_) => self.down.put(now.plus(RECONNECT_AFTER), number),
            }
        }
    }

    fn send_waiting(&mut self) {
        while !self.waiting.is_empty() {
            let Some(number) = self.idle.pop() else { return };
            let Some((intended, job)) = self.waiting.pop_front() else { return };
            let place = &mut self.places[number];
            let Some(connection) = place.connection.as_mut() else { continue };
            let request = connection.request();
            self.script.write(&job, request);
            self.standing.counts.bytes_sent += request.len() as u64;
            let sent = self.watch.now();
            place.deadline = sent.plus(self.script.patience(&job));
            place.under_way = Some((intended, sent, job));
            self.standing.counts.sent += 1;
            self.standing.in_flight += 1;
            if matches!(connection.send(), Progress::Broken) {
                self.standing.counts.broken += 1;
                self.finish(number, None);
            } else {
                self.set_alarm(number);
            }
        }
    }

    /// How long nothing need be done.
    fn pause(&mut self) -> Duration {
        // In the closed model the plan goes on when an answer comes.
        let planned = self.planned.as_ref().map(|(at, _)| *at).filter(|_| !self.config.is_closed);
        let next =
            [planned, self.later.next(), self.patience.next(), self.down.next()].into_iter().flatten().min();
        let Some(next) = next else { return LOOK_EVERY };
        next.since(self.watch.now()).min(LOOK_EVERY)
    }

    fn look(&mut self, number: usize, writable: bool) {
        let Some(place) = self.places.get_mut(number) else { return };
        let Some(connection) = place.connection.as_mut() else { return };
        if writable && place.under_way.is_some() && matches!(connection.send(), Progress::Broken) {
            self.standing.counts.broken += 1;
            return self.finish(number, None);
        }
        match connection.receive(place.under_way.is_some()) {
            Progress::Waits => {}
            Progress::Answer(head) => self.finish(number, Some(head)),
            Progress::Broken => {
                // A server may close a connection that nobody uses.
                self.standing.counts.broken += u64::from(place.under_way.is_some());
                self.finish(number, None);
            }
        }
    }

    /// Ends the request of a place, and makes the place ready for another.
    fn finish(&mut self, number: usize, answer: Option<Head>) {
        let done = self.watch.now();
        let place = &mut self.places[number];
        let Some(connection) = place.connection.take() else { return };
        match place.under_way.take() {
            Some((intended, sent, job)) => {
                self.standing.in_flight -= 1;
                let bytes = connection.received();
                let told = answer.as_ref().map(|head| (head, head.body.bytes(bytes)));
                self.standing.counts.answered += u64::from(told.is_some());
                self.standing.counts.bytes_received += bytes.len() as u64;
                self.script.done(job, Times { intended, sent, done }, told, &mut self.later);
            }
            // One that waited for work.
            None => self.idle.retain(|idle| *idle != number),
        }
        match answer {
            Some(head) if head.stays_open => {
                place.connection = Some(connection);
                self.idle.push(number);
            }
            answer => {
                drop(connection);
                // A server that closes in an orderly way is there; one that broke off may not be.
                let wait = if answer.is_some() { Duration::ZERO } else { RECONNECT_AFTER };
                self.down.put(done.plus(wait), number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
