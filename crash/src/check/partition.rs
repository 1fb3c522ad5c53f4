//! Follows one partition from its first record to its last.

use std::collections::VecDeque;

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::decision::{HoldState, What};

use super::books::Books;
use super::clock::{Clock, ClockEvent};
use super::facts::{Commanded, Fact, Facts};
use super::said::{Said, SaidLine, Spoken, lines, name, spoken};
use super::stream::{Output, Outputs};
use super::verdict::{Findings, Promise};
use crate::evidence::{DumpRecord, Evidence, Place};

/// Something that time, or a tick, brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Happened {
    Expired {
        id: ReservationId,
        lines: Vec<SaidLine>,
    },
    ClockSuspect {
        append_ms: u64,
    },
    ClockTrusted {
        step_ms: u64,
    },
    /// Something that this checker does not judge.
    Other(&'static str),
}

/// The rest of a partition cannot be judged.
pub(super) struct OutOfScope(pub(super) &'static str);

/// Judges a partition.
pub(super) struct PartitionJudge<'f> {
    pub(super) partition: u32,
    pub(super) partitions: u32,
    pub(super) findings: &'f mut Findings,
    pub(super) facts: &'f mut Facts,
    pub(super) books: Books,
    pub(super) clock: Clock,
    pub(super) work_max: usize,
    pub(super) window_ms: u64,
    begun_ms: Option<u64>,
    /// Nobody has anything left to answer.
    settled: bool,
    /// Where the command being judged is.
    pub(super) place: Place,
    /// Log time when its record began.
    pub(super) record_ms: u64,
}

impl<'f> PartitionJudge<'f> {
    pub(super) fn new(
        partition: u32,
        partitions: u32,
        findings: &'f mut Findings,
        facts: &'f mut Facts,
    ) -> Self {
        Self {
            partition,
            partitions,
            findings,
            facts,
            books: Books::default(),
            clock: Clock::default(),
            work_max: 1024,
            window_ms: 86_400_000,
            begun_ms: None,
            settled: false,
            place: Place { partition, offset: 0, index: 0 },
            record_ms: 0,
        }
    }

    pub(super) fn broken(&mut self, promise: Promise, ids: &[ReservationId], what: impl Into<String>) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        self.findings.broken(promise, Some(self.place), &ids, what);
    }

    /// Goes through all records.
    pub(super) fn judge(mut self, evidence: &Evidence, outputs: &Outputs<'_>) {
        self.settled = evidence.settings.settled;
        let mut last = None;
        let mut next = 0;
        for record in evidence.commands.of(self.partition) {
            if record.offset != next {
                let what = "has a hole or does not begin at its first record";
                self.findings.unmet(format!("the dump of commands of partition {} {what}", self.partition));
            }
            next = record.offset + 1;
            last = Some(record.offset);
            self.place = Place { partition: self.partition, offset: record.offset, index: 0 };
            if let Err(OutOfScope(what)) = self.record(record, outputs.get(&record.offset), outputs) {
                self.findings.unmet(format!("the log has {what}, which this checker does not judge"));
                return;
            }
        }
        if let Some((&source, _)) = outputs.last_key_value()
            && last.is_none_or(|last| source > last)
        {
            self.place = Place { partition: self.partition, offset: source, index: 0 };
            self.broken(Promise::S5, &[], "an output answers a command record that is not in the topic");
        }
        if self.begun_ms.is_some_and(|begun| self.clock.now() - begun > self.window_ms) {
            self.findings.unmet("the run is longer than ids are remembered");
        }
        self.facts.followed.push(self.partition);
    }

    fn record(
        &mut self,
        record: &DumpRecord,
        output: Option<&Output<'_>>,
        all: &Outputs<'_>,
    ) -> Result<(), OutOfScope> {
        let by_time = self.begin_record(record);
        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        let decoded = decode_batch(&record.payload, &mut skus, &mut commands);
        let Some(output) = output else {
            return self.unanswered(record, &by_time, &commands, &skus, decoded.is_err(), all);
        };
        self.facts
            .answered_ms
            .insert((self.partition, record.offset), (record.append_ms, output.record.append_ms));
        if let Some(digest) = output.batch.state_digest {
            self.facts.digests.insert((self.partition, record.offset + 1), digest.to_string());
            self.facts.counts.add("digests_in_outputs", 1);
        }
        if output.batch.log_time.0 != self.record_ms {
            let what =
                format!("log time is {} here, the output says {}", self.record_ms, output.batch.log_time);
            self.broken(Promise::S9, &[], what);
        }
        let malformed = decoded.as_ref().err().map(|error| error.code());
        if output.batch.malformed != malformed {
            let what =
                format!("malformed is {:?} here, the output says {:?}", malformed, output.batch.malformed);
            self.broken(Promise::S5, &[], what);
        }
        if decoded.as_ref().is_ok_and(|header| *header != output.batch.header) {
            self.broken(Promise::S5, &[], "the output names another intake or tag than the command record");
        }
        let output_skus: Vec<&str> = output.batch.skus().collect();
        let (timely, caused) = happenings(output, &output_skus);
        self.follow_time(by_time, &timely)?;
        let decisions: Vec<Spoken> = output.batch.decisions().map(|it| spoken(&output_skus, &it)).collect();
        if decisions.len() != commands.len() {
            let what = format!("{} commands, {} decisions", commands.len(), decisions.len());
            self.broken(Promise::S5, &[], what);
        }
        let mut ticked = Vec::new();
        for (index, (command, said)) in commands.iter().zip(&decisions).enumerate() {
            self.place.index = u32::try_from(index).expect("a batch is small");
            self.note(command, &skus, Some(said.clone()));
            if let Some(event) = self.command(record, command, said, &skus)? {
                ticked.push(event);
            }
        }
        if caused != ticked {
            self.broken(
                Promise::S9,
                &[],
                format!("ticks brought about {ticked:?}, the output says {caused:?}"),
            );
        }
        if timely.is_empty()
            && ticked.is_empty()
            && malformed.is_none()
            && decisions.iter().all(|it| it.said == Said::Nothing)
        {
            self.broken(Promise::S5, &[], "an output for a record that has nothing to say");
        }
        self.end_record();
        Ok(())
    }

    /// Moves log time, and says what it brings about.
    fn begin_record(&mut self, record: &DumpRecord) -> Vec<Happened> {
        self.facts.appended_ms.insert((self.partition, record.offset), record.append_ms);
        self.facts.counts.add("command_records", 1);
        let mut by_time = Vec::new();
        if let Some(event) = self.clock.record(record.offset, record.append_ms) {
            by_time.push(self.clock_event(event));
        }
        self.record_ms = self.clock.now();
        self.begun_ms.get_or_insert(self.record_ms);
        let over = self.books.due.range(..=(self.record_ms, (u64::MAX, u32::MAX)));
        for (_, id) in over.take(self.work_max) {
            let lines = self.books.holds.get(id).map(|it| it.lines.clone()).unwrap_or_default();
            by_time.push(Happened::Expired { id: *id, lines });
        }
        by_time
    }

    fn clock_event(&mut self, event: ClockEvent) -> Happened {
        match event {
            ClockEvent::Suspect { append_ms } => {
                self.facts.counts.add("clock_suspicions", 1);
                Happened::ClockSuspect { append_ms }
            }
            ClockEvent::Trusted { step_ms, since } => {
                self.books.shift(since, step_ms);
                Happened::ClockTrusted { step_ms }
            }
        }
    }

    /// A record without an output: it must have had nothing to say, or nobody has come to it yet.
    fn unanswered(
        &mut self,
        record: &DumpRecord,
        by_time: &[Happened],
        commands: &[Command<'_>],
        skus: &[&str],
        malformed: bool,
        all: &Outputs<'_>,
    ) -> Result<(), OutOfScope> {
        let mut must = malformed || !by_time.is_empty();
        for (index, command) in commands.iter().enumerate() {
            self.place.index = u32::try_from(index).expect("a batch is small");
            self.note(command, skus, None);
            match command {
                Command::Tick { wall, .. } => {
                    must |= self.clock.tick(record.offset, record.append_ms, wall.0).is_some();
                }
                _ => must = true,
            }
        }
        self.place.index = 0;
        let later = all.range(record.offset..).next().is_some();
        if !must || (!later && !self.settled) {
            return Ok(());
        }
        let what = if later { "is passed over: a later one is answered" } else { "was never answered" };
        if let Some(Happened::Expired { id, .. }) =
            by_time.iter().find(|it| matches!(it, Happened::Expired { .. }))
        {
            self.broken(Promise::S9, &[*id], format!("a hold is due at a record that {what}"));
        }
        self.broken(Promise::S5, &[], format!("a command record that must be answered {what}"));
        // The rest of the partition would be judged from wrong books.
        if later { Err(OutOfScope("commands after a record without an output")) } else { Ok(()) }
    }

    /// Compares what time brought about with what it should have, and follows it.
    fn follow_time(&mut self, want: Vec<Happened>, said: &[Happened]) -> Result<(), OutOfScope> {
        let mut want = VecDeque::from(want);
        for event in said {
            if let Happened::Other(what) = event {
                return Err(OutOfScope(what));
            }
            if want.front() == Some(event) {
                want.pop_front();
            } else {
                self.unexpected(event);
                want.retain(|it| match (it, event) {
                    (Happened::Expired { id: a, .. }, Happened::Expired { id: b, .. }) => a != b,
                    _ => it != event,
                });
            }
            if let Happened::Expired { id, .. } = event
                && self.books.holds.get(id).is_some_and(super::books::Hold::is_live)
            {
                self.facts.counts.add("expiries", 1);
                self.books.end(*id, HoldState::Expired);
            }
        }
        for missing in want {
            match missing {
                Happened::Expired { id, .. } => {
                    self.broken(Promise::S9, &[id], "a hold is due and does not end");
                }
                other => self.broken(Promise::S9, &[], format!("missing: {other:?}")),
            }
        }
        Ok(())
    }

    fn unexpected(&mut self, event: &Happened) {
        let Happened::Expired { id, lines } = event else {
            self.broken(
                Promise::S9,
                &[],
                format!("the clock says {event:?}, which does not follow from the log"),
            );
            return;
        };
        let now = self.record_ms;
        let (promise, what) = match self.books.holds.get(id) {
            None => (Promise::S11, "expired, but was never granted".to_owned()),
            Some(hold) if !hold.is_live() => {
                (Promise::S11, format!("expired, but was {} already", hold.state.name()))
            }
            Some(hold) if now < hold.deadline => {
                (Promise::S8, format!("expired at log time {now}, before its deadline {}", hold.deadline))
            }
            Some(hold) if hold.lines != *lines => {
                (Promise::S2, "expired with other units than it had".to_owned())
            }
            Some(_) => (Promise::S9, "expired out of turn".to_owned()),
        };
        self.broken(promise, &[*id], what);
    }

    /// Judges one command and follows its decision. Says what a tick did to the clock.
    fn command(
        &mut self,
        record: &DumpRecord,
        command: &Command<'_>,
        said: &Spoken,
        skus: &[&str],
    ) -> Result<Option<Happened>, OutOfScope> {
        if let Said::Other(what) = said.said {
            return Err(OutOfScope(what));
        }
        match command {
            Command::Tick { wall, .. } => {
                let event = self.clock.tick(record.offset, record.append_ms, wall.0);
                self.expect(&Spoken { id: None, replay: false, said: Said::Nothing }, said);
                return Ok(event.map(|event| self.clock_event(event)));
            }
            Command::Reserve(reserve) => self.reserve(reserve, said, skus)?,
            Command::BeginPayment { .. }
            | Command::Confirm { .. }
            | Command::Release { .. }
            | Command::Extend { .. } => {
                self.moved(command, said)?;
            }
            Command::SetStock(_) | Command::AdjustStock(_) => self.stock(command, said, skus)?,
            Command::DefineSale(_)
            | Command::OpenSale { .. }
            | Command::PauseSale { .. }
            | Command::CloseSale { .. } => {
                self.sale(command, said, skus)?;
            }
            Command::ActivateRules { version, dedupe_window_ms, work_per_record_max } => {
                if *dedupe_window_ms != 0 {
                    self.window_ms = self.window_ms.min(*dedupe_window_ms);
                }
                if *work_per_record_max != 0 {
                    self.work_max = *work_per_record_max as usize;
                }
                let want = Spoken { id: None, replay: false, said: Said::Rules { version: *version } };
                self.expect(&want, said);
            }
        }
        Ok(None)
    }

    /// An answer that nobody can get wrong without breaking a rule.
    pub(super) fn expect(&mut self, want: &Spoken, said: &Spoken) {
        if want != said {
            let ids: Vec<_> = said.id.into_iter().collect();
            self.broken(Promise::Rules, &ids, format!("the rules say {want:?}, the output says {said:?}"));
        }
    }

    /// Keeps what a command asks for.
    fn note(&mut self, command: &Command<'_>, skus: &[&str], spoken: Option<Spoken>) {
        self.facts.counts.add("commands", 1);
        let (commanded, id) = commanded(command, skus);
        self.facts.add(self.place, Fact { commanded, id, spoken });
    }

    /// What must hold after every record.
    fn end_record(&mut self) {
        for sku in std::mem::take(&mut self.books.touched) {
            let stock = self.books.stock.get(&sku).copied().unwrap_or_default();
            if stock.available < 0 || stock.held + stock.committed > stock.on_hand {
                self.broken(Promise::S1, &[], format!("{sku} is oversold: {stock:?}"));
            }
            let sum = stock.available + stock.held + stock.committed + stock.unavailable;
            if sum != stock.on_hand || stock.held < 0 || stock.unavailable < 0 {
                self.broken(Promise::S2, &[], format!("{sku} does not add up: {stock:?}"));
            }
            self.facts.figures.entry(sku).or_default().insert(self.place.offset, stock.figures());
        }
    }
}

/// The events of an output: those of time, and those of commands.
fn happenings(output: &Output<'_>, skus: &[&str]) -> (Vec<Happened>, Vec<Happened>) {
    let (mut timely, mut caused) = (Vec::new(), Vec::new());
    for event in output.batch.events() {
        let happened = match event.what {
            What::Expired { id, lines: ended, was_waiting: false } => {
                Happened::Expired { id, lines: lines(skus, &ended) }
            }
            What::Expired { was_waiting: true, .. } | What::Offered { .. } => Happened::Other("a waitlist"),
            What::ClockSuspect { append_time_ms } => Happened::ClockSuspect { append_ms: append_time_ms },
            What::ClockTrusted { step_ms } => Happened::ClockTrusted { step_ms },
        };
        if event.cause.is_none() { timely.push(happened) } else { caused.push(happened) }
    }
    (timely, caused)
}

fn commanded(command: &Command<'_>, skus: &[&str]) -> (Commanded, Option<ReservationId>) {
    match command {
        Command::Reserve(it) => {
            let lines = it.lines.iter().map(|line| (name(skus, line.sku), line.quantity)).collect();
            (Commanded::Reserve { customer: it.customer.0, lines }, Some(it.reservation_id))
        }
        Command::Confirm { reservation_id, customer, .. } => {
            (Commanded::Confirm { customer: customer.0 }, Some(*reservation_id))
        }
        Command::Release { reservation_id, customer } => {
            (Commanded::Release { customer: customer.0 }, Some(*reservation_id))
        }
        Command::Extend { reservation_id, customer, by_ms, command_id } => {
            let about = *reservation_id;
            (Commanded::Extend { customer: customer.0, about, by_ms: *by_ms }, *command_id)
        }
        Command::SetStock(it) => {
            let commanded = Commanded::SetStock { sku: name(skus, it.sku), on_hand: it.on_hand };
            (commanded, Some(it.command_id))
        }
        Command::AdjustStock(it) => {
            let sku = name(skus, it.sku);
            (Commanded::AdjustStock { sku, delta: it.delta, set_aside: it.set_aside }, Some(it.command_id))
        }
        Command::DefineSale(it) => {
            (Commanded::DefineSale { sale_id: it.sale_id.to_owned() }, Some(it.command_id))
        }
        Command::OpenSale { sale_id } => (Commanded::OpenSale { sale_id: (*sale_id).to_owned() }, None),
        Command::Tick { .. } => (Commanded::Other("tick"), None),
        Command::BeginPayment { .. } => (Commanded::Other("begin payment"), None),
        Command::PauseSale { .. } => (Commanded::Other("pause sale"), None),
        Command::CloseSale { .. } => (Commanded::Other("close sale"), None),
        Command::ActivateRules { .. } => (Commanded::Other("activate rules"), None),
    }
}
