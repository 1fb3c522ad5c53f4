//! The way to one partition and back: commands that wait for company, records under way, and the decisions that come.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use holdfast_contracts::command::{BatchBuilder, Command, Line};
use holdfast_contracts::decision::DecisionBatch;
use holdfast_contracts::{CustomerId, IntakeId, Offset, PartitionId, RequestTag, ReservationId};

use super::follower::Follower;
use super::ids::Ids;
use crate::books::{Ask, Customer, Moment, Sku};

/// A record has no more commands ...
const COMMANDS_MAX: usize = 1_000;
/// ... and about as many bytes.
const BYTES_MAX: usize = 256 << 10;

/// One partition. `J` is what is known of a command besides.
pub(super) struct Lane<J> {
    pub(super) follower: Follower,
    builder: BatchBuilder,
    /// The commands in the builder, each with the moment when it was due.
    jobs: Vec<(Moment, J)>,
    /// When the first of them was due.
    due: Option<Moment>,
    next_tag: u64,
    /// In the order of their tags. Without jobs if they are answered.
    under_way: VecDeque<Sent<J>>,
}

/// A record under way.
pub(super) struct Sent<J> {
    first_tag: u64,
    pub(super) at: Moment,
    pub(super) jobs: Vec<(Moment, J)>,
}

/// A record that is ready to go.
pub(super) struct Ready {
    pub(super) payload: Bytes,
    pub(super) commands: usize,
    /// When its first command was due.
    pub(super) due: Moment,
}

impl<J> Lane<J> {
    /// Decisions are followed from `from` on.
    pub(super) fn new(partition: PartitionId, from: Offset) -> Self {
        Self {
            follower: Follower::new(partition, from),
            builder: BatchBuilder::default(),
            jobs: Vec::new(),
            due: None,
            next_tag: 0,
            under_way: VecDeque::new(),
        }
    }

    /// Adds a command to the record that is being made.
    pub(super) fn put(
        &mut self,
        header: IntakeId,
        write: impl FnOnce(&mut BatchBuilder),
        due: Moment,
        job: J,
    ) {
        if self.jobs.is_empty() {
            self.builder.start(header, RequestTag(self.next_tag));
            self.due = Some(due);
        }
        write(&mut self.builder);
        self.jobs.push((due, job));
    }

    /// Whether the record must go before another command is added.
    pub(super) fn is_full(&self) -> bool {
        self.jobs.len() >= COMMANDS_MAX || self.builder.bytes().len() >= BYTES_MAX || self.builder.is_full()
    }

    /// When the record must go, if there is one.
    pub(super) fn goes_at(&self, linger: Duration) -> Option<Moment> {
        self.due.map(|due| due.plus(linger))
    }

    /// The record as it stands, if there is one. It counts as under way from `now` on.
    pub(super) fn take(&mut self, now: Moment) -> Option<Ready> {
        let due = self.due.take()?;
        let jobs = std::mem::take(&mut self.jobs);
        let (first_tag, commands) = (self.next_tag, jobs.len());
        self.next_tag += commands as u64;
        self.under_way.push_back(Sent { first_tag, at: now, jobs });
        Some(Ready { payload: Bytes::copy_from_slice(self.builder.bytes()), commands, due })
    }

    /// Commands that nobody will send.
    pub(super) fn drop_waiting(&mut self) -> usize {
        self.due = None;
        let dropped = self.jobs.len();
        self.jobs.clear();
        dropped
    }

    /// The record that was taken last comes back: the log has not accepted it.
    pub(super) fn not_taken(&mut self) -> Option<Sent<J>> {
        self.under_way.pop_back()
    }

    /// The next record that was sent before `then` and is not answered; it is not waited for any longer.
    pub(super) fn give_up(&mut self, then: Moment) -> Option<Sent<J>> {
        loop {
            let first = self.under_way.pop_front_if(|it| it.jobs.is_empty() || it.at < then)?;
            if !first.jobs.is_empty() {
                return Some(first);
            }
        }
    }

    /// When the record was sent that has been waited for longest.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.under_way.iter().find(|it| !it.jobs.is_empty()).map(|it| it.at)
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        self.jobs.is_empty() && self.under_way.iter().all(|it| it.jobs.is_empty())
    }
}

/// The record that these decisions answer, if somebody still waits for it.
pub(super) fn answered<J>(under_way: &mut VecDeque<Sent<J>>, batch: &DecisionBatch<'_>) -> Option<Sent<J>> {
    let tag = batch.header.first_request_tag.0;
    let at = under_way.binary_search_by_key(&tag, |it| it.first_tag).ok()?;
    let sent = under_way.get_mut(at)?;
    Some(Sent { first_tag: tag, at: sent.at, jobs: std::mem::take(&mut sent.jobs) })
}

impl<J> Lane<J> {
    /// What reads, and what waits to be answered.
    pub(super) const fn parts(&mut self) -> (&mut Follower, &mut VecDeque<Sent<J>>) {
        (&mut self.follower, &mut self.under_way)
    }
}

/// Writes what somebody asks for. Looks at reservations are no commands, and are not written.
pub(super) fn write(
    builder: &mut BatchBuilder,
    ids: Ids,
    skus: &[String],
    partition: PartitionId,
    customer: Customer,
    ask: &Ask,
) {
    let customer: CustomerId = ids.customer(customer);
    match ask {
        Ask::Reserve { key, body } => {
            let mut lines = [Line::default(); crate::books::LINES_MAX];
            let mut count = 0;
            for (line, (sku, quantity)) in lines.iter_mut().zip(body.lines().iter()) {
                *line = Line { sku: builder.sku(name(skus, sku)), quantity };
                count += 1;
            }
            let id = ids.reservation(*key, partition);
            builder.reserve(id, customer, &lines[..count], body.allow_partial(), false);
        }
        Ask::Confirm { reservation } => {
            let reservation_id = id_of(reservation);
            builder.push(&Command::Confirm { reservation_id, customer, reacquire: false });
        }
        Ask::Release { reservation } => {
            builder.push(&Command::Release { reservation_id: id_of(reservation), customer });
        }
        Ask::Read { .. } => {}
    }
}

/// The id of a reservation as it stands in the books. One that is none is nobody's.
pub(super) fn id_of(reservation: &str) -> ReservationId {
    reservation.parse().unwrap_or_default()
}

pub(super) fn name(skus: &[String], sku: Sku) -> &str {
    skus.get(usize::from(sku.0)).map_or("", String::as_str)
}
