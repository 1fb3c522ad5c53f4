//! A small language for cases: records at a time, commands in words, answers to compare with.

use holdfast_contracts::command::{
    AdjustStock, BatchBuilder, Command, DefineSale, Line as AskedLine, Lines, Reserve, SetStock, SkuList,
};
use holdfast_contracts::decision::{FirstDecided, HoldState, Reason, SaleState, StockFigures};
use holdfast_contracts::{
    CustomerId, IntakeId, LogId, LogTime, PartitionId, RequestTag, ReservationId, SaleTerms,
};

use crate::answer::{Expected, Line, Outcome, Refusal, Sku, What};
use crate::compare::compare;
use crate::model::{Model, Settings, Stopped};
use crate::real::RealMachine;
use crate::record::put_dictionary;
use crate::subject::{Applied, Machine, apply_framed};

/// Log time 0 of all cases.
pub(super) const BASE: u64 = 1_700_000_000_000;
pub(super) const LOG: LogId = LogId([9; 16]);

/// Short lives, no limits.
pub(super) const TERMS: SaleTerms = SaleTerms {
    hold_ttl_ms: 1_000,
    payment_window_ms: 500,
    units_per_customer_max: 0,
    units_per_reservation_max: 0,
    extend_max: 2,
    hold_total_max_ms: 3_000,
    offer_ttl_ms: 400,
    opens_at: LogTime(0),
    closes_at: LogTime(0),
    waitlist: true,
};

/// Reservation or command number `n`.
pub(super) fn id(n: u8) -> ReservationId {
    ReservationId([n; 16])
}

/// A model and the real machine beside it, and the next record's time. What a case expects of the one it expects of both.
pub(super) struct Script {
    pub(super) settings: Settings,
    pub(super) model: Model,
    real: RealMachine,
    offset: u64,
    time: u64,
    next_command_id: u8,
}

/// Commands of one record.
#[derive(Default)]
pub(super) struct Batch {
    builder: BatchBuilder,
    skus: Vec<String>,
}

impl Script {
    /// A machine that has seen nothing.
    pub(super) fn empty() -> Self {
        Self::of_partitions(1)
    }

    /// The same for the first of so many partitions.
    pub(super) fn of_partitions(partitions: u32) -> Self {
        Self::of_settings(Settings {
            partition: PartitionId(0),
            partitions,
            log_id: LOG,
            control_secret: None,
        })
    }

    /// A machine with a control key.
    pub(super) fn with_key(secret: [u8; 32]) -> Self {
        Self::of_settings(Settings {
            partition: PartitionId(0),
            partitions: 1,
            log_id: LOG,
            control_secret: Some(secret),
        })
    }

    fn of_settings(settings: Settings) -> Self {
        let (model, real) = (Model::new(settings), RealMachine::new(settings));
        Self { settings, model, real, offset: 0, time: BASE, next_command_id: 200 }
    }

    /// An open sale `s` of these SKUs with this stock, at time 0.
    pub(super) fn sale(terms: SaleTerms, stock: &[(&str, u64)]) -> Self {
        let mut script = Self::empty();
        let skus: Vec<&str> = stock.iter().map(|(sku, _)| *sku).collect();
        script.define("s", terms, &skus);
        for (sku, on_hand) in stock {
            script.set(sku, *on_hand);
        }
        script.open("s");
        script
    }

    /// Records from here on are appended so many ms after the base.
    pub(super) fn at(&mut self, ms: u64) -> &mut Self {
        self.time = BASE.wrapping_add(ms);
        self
    }

    pub(super) fn try_send(&mut self, fill: impl FnOnce(&mut Batch)) -> Result<Option<Expected>, Stopped> {
        let mut batch = Batch::default();
        batch.builder.start(IntakeId(3), RequestTag(40));
        fill(&mut batch);
        let mut bytes = batch.bytes();
        if let Some(secret) = self.settings.control_secret {
            self.settings.sign(&secret, &mut bytes);
        }
        self.raw(&bytes)
    }

    /// A record with a code of somebody else's making.
    pub(super) fn send_as(
        &mut self,
        fill: impl FnOnce(&mut Batch),
        sign: impl FnOnce(Settings, &mut Vec<u8>),
    ) -> Expected {
        let mut batch = Batch::default();
        batch.builder.start(IntakeId(3), RequestTag(40));
        fill(&mut batch);
        let mut bytes = batch.bytes();
        sign(self.settings, &mut bytes);
        self.raw(&bytes).expect("the partition goes on").unwrap_or_default()
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<Option<Expected>, Stopped> {
        let result = self.model.apply(self.offset, self.time, bytes);
        self.the_real_machine_says_the_same(bytes, &result);
        self.offset += 1;
        if result.is_ok() {
            self.model.verify();
        }
        result
    }

    fn the_real_machine_says_the_same(&mut self, bytes: &[u8], result: &Result<Option<Expected>, Stopped>) {
        let mut said = Vec::new();
        let applied = apply_framed(&mut self.real, self.offset, self.time, bytes, &mut said);
        let Ok(expected) = result else {
            assert_eq!(applied, Applied::Stopped);
            return;
        };
        let said = (applied == Applied::Answered).then_some(said.as_slice());
        compare(self.offset, expected.as_ref(), said).unwrap_or_else(|difference| panic!("{difference}"));
        // And it goes on as what its checkpoint makes of it.
        let restored = self.real.restored().expect("its checkpoint can be loaded").expect("it has one");
        assert_eq!(restored.digest(), self.real.digest());
        self.real = restored;
    }

    /// A record and its output; an empty one if it has none.
    pub(super) fn send(&mut self, fill: impl FnOnce(&mut Batch)) -> Expected {
        self.try_send(fill).expect("the partition goes on").unwrap_or_default()
    }

    /// A record of one command and what was decided.
    pub(super) fn one(&mut self, fill: impl FnOnce(&mut Batch)) -> Outcome {
        let mut expected = self.send(fill);
        assert_eq!(expected.decisions.len(), 1);
        expected.decisions.remove(0).outcome.expect("an answer")
    }

    /// A record that only lets time pass, and its events.
    pub(super) fn pass(&mut self) -> Vec<What> {
        let time = self.time;
        self.send(|b| b.tick(time)).events.into_iter().map(|event| event.what).collect()
    }

    pub(super) fn reserve(&mut self, n: u8, customer: u64, lines: &[(&str, u32)]) -> Outcome {
        self.one(|b| b.reserve(n, customer, lines))
    }

    pub(super) fn join(&mut self, n: u8, customer: u64, sku: &str, quantity: u32) -> Outcome {
        self.one(|b| b.join(n, customer, sku, quantity))
    }

    pub(super) fn pay(&mut self, n: u8) -> Outcome {
        self.one(|b| b.pay(n, 0))
    }

    pub(super) fn confirm(&mut self, n: u8) -> Outcome {
        self.one(|b| b.confirm(n, 0, false))
    }

    pub(super) fn reacquire(&mut self, n: u8) -> Outcome {
        self.one(|b| b.confirm(n, 0, true))
    }

    pub(super) fn release(&mut self, n: u8) -> Outcome {
        self.one(|b| b.release(n, 0))
    }

    pub(super) fn extend(&mut self, n: u8, by_ms: u32, command: Option<u8>) -> Outcome {
        self.one(|b| b.extend(n, 0, by_ms, command))
    }

    fn command_id(&mut self) -> u8 {
        self.next_command_id += 1;
        self.next_command_id
    }

    pub(super) fn set(&mut self, sku: &str, on_hand: u64) -> Outcome {
        let id = self.command_id();
        self.one(|b| b.set(id, sku, on_hand, None, false))
    }

    pub(super) fn cut(&mut self, sku: &str, on_hand: u64) -> Outcome {
        let id = self.command_id();
        self.one(|b| b.set(id, sku, on_hand, None, true))
    }

    pub(super) fn adjust(&mut self, sku: &str, delta: i64, set_aside: i64) -> Outcome {
        let id = self.command_id();
        self.one(|b| b.adjust(id, sku, delta, set_aside))
    }

    pub(super) fn define(&mut self, sale: &str, terms: SaleTerms, skus: &[&str]) -> Outcome {
        let id = self.command_id();
        self.one(|b| b.define(id, sale, terms, skus))
    }

    pub(super) fn open(&mut self, sale: &str) -> Outcome {
        self.one(|b| b.push(&Command::OpenSale { sale_id: sale }))
    }

    pub(super) fn pause(&mut self, sale: &str) -> Outcome {
        self.one(|b| b.push(&Command::PauseSale { sale_id: sale, freeze_ttl: false }))
    }

    pub(super) fn freeze(&mut self, sale: &str) -> Outcome {
        self.one(|b| b.push(&Command::PauseSale { sale_id: sale, freeze_ttl: true }))
    }

    pub(super) fn close(&mut self, sale: &str) -> Outcome {
        self.one(|b| b.push(&Command::CloseSale { sale_id: sale }))
    }

    pub(super) fn rules(&mut self, version: u32, dedupe_window_ms: u64, work_per_record_max: u32) -> Outcome {
        self.one(|b| b.rules(version, dedupe_window_ms, work_per_record_max))
    }

    /// on hand, available, held, committed, unavailable, shortfall.
    pub(super) fn figures(&self, sku: &str) -> [u64; 6] {
        list(self.model.sku_view(sku).expect("a known SKU").figures)
    }
}

impl Batch {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.builder.bytes().to_vec();
        let skus: Vec<&str> = self.skus.iter().map(String::as_str).collect();
        put_dictionary(&mut bytes, &skus);
        bytes
    }

    fn sku(&mut self, sku: &str) -> u32 {
        let at = self.skus.iter().position(|known| known == sku).unwrap_or_else(|| {
            self.skus.push(sku.to_owned());
            self.skus.len() - 1
        });
        u32::try_from(at).expect("a small dictionary")
    }

    /// Enters a SKU once more, whether it is there or not.
    pub(super) fn sku_again(&mut self, sku: &str) -> u32 {
        self.skus.push(sku.to_owned());
        u32::try_from(self.skus.len() - 1).expect("a small dictionary")
    }

    pub(super) fn push(&mut self, command: &Command<'_>) {
        self.builder.push(command);
    }

    pub(super) fn reserve(&mut self, n: u8, customer: u64, lines: &[(&str, u32)]) {
        self.reserve_with(n, customer, lines, false, false);
    }

    pub(super) fn partial(&mut self, n: u8, customer: u64, lines: &[(&str, u32)]) {
        self.reserve_with(n, customer, lines, true, false);
    }

    pub(super) fn join(&mut self, n: u8, customer: u64, sku: &str, quantity: u32) {
        self.reserve_with(n, customer, &[(sku, quantity)], false, true);
    }

    pub(super) fn reserve_with(
        &mut self,
        n: u8,
        customer: u64,
        lines: &[(&str, u32)],
        allow_partial: bool,
        join_waitlist: bool,
    ) {
        let lines: Vec<_> = lines
            .iter()
            .map(|(sku, quantity)| AskedLine { sku: self.sku(sku), quantity: *quantity })
            .collect();
        self.reserve_raw(n, customer, &lines, allow_partial, join_waitlist);
    }

    pub(super) fn reserve_raw(
        &mut self,
        n: u8,
        customer: u64,
        lines: &[AskedLine],
        allow_partial: bool,
        join_waitlist: bool,
    ) {
        self.push(&Command::Reserve(Reserve {
            reservation_id: id(n),
            customer: CustomerId(customer),
            lines: Lines::of(lines),
            allow_partial,
            join_waitlist,
        }));
    }

    pub(super) fn pay(&mut self, n: u8, customer: u64) {
        self.push(&Command::BeginPayment { reservation_id: id(n), customer: CustomerId(customer) });
    }

    pub(super) fn confirm(&mut self, n: u8, customer: u64, reacquire: bool) {
        self.push(&Command::Confirm { reservation_id: id(n), customer: CustomerId(customer), reacquire });
    }

    pub(super) fn release(&mut self, n: u8, customer: u64) {
        self.push(&Command::Release { reservation_id: id(n), customer: CustomerId(customer) });
    }

    pub(super) fn extend(&mut self, n: u8, customer: u64, by_ms: u32, command: Option<u8>) {
        self.push(&Command::Extend {
            reservation_id: id(n),
            customer: CustomerId(customer),
            by_ms,
            command_id: command.map(id),
        });
    }

    pub(super) fn set(&mut self, n: u8, sku: &str, on_hand: u64, expected: Option<u64>, force: bool) {
        let sku = self.sku(sku);
        let texts = ("count", "");
        self.push(&Command::SetStock(SetStock {
            command_id: id(n),
            sku,
            on_hand,
            expected,
            force,
            reason: texts.0,
            reference: texts.1,
        }));
    }

    pub(super) fn adjust(&mut self, n: u8, sku: &str, delta: i64, set_aside: i64) {
        let sku = self.sku(sku);
        self.push(&Command::AdjustStock(AdjustStock {
            command_id: id(n),
            sku,
            delta,
            set_aside,
            reason: "",
            reference: "",
        }));
    }

    pub(super) fn define(&mut self, n: u8, sale_id: &str, terms: SaleTerms, skus: &[&str]) {
        let skus: Vec<u32> = skus.iter().map(|sku| self.sku(sku)).collect();
        self.push(&Command::DefineSale(DefineSale {
            command_id: id(n),
            sale_id,
            terms,
            skus: SkuList::of(&skus),
        }));
    }

    pub(super) fn tick(&mut self, wall: u64) {
        self.push(&Command::Tick { wall: LogTime(wall), log_id: Some(LOG) });
    }

    pub(super) fn rules(&mut self, version: u32, dedupe_window_ms: u64, work_per_record_max: u32) {
        self.push(&Command::ActivateRules { version, dedupe_window_ms, work_per_record_max });
    }
}

pub(super) fn list(f: StockFigures) -> [u64; 6] {
    [f.on_hand, f.available, f.held, f.committed, f.unavailable, f.shortfall]
}

/// SKU, asked, missing.
pub(super) fn lines(lines: &[(&str, u32, u32)]) -> Vec<Line> {
    lines.iter().map(|(sku, quantity, missing)| line(sku, *quantity, *missing)).collect()
}

pub(super) fn line(sku: &str, quantity: u32, missing: u32) -> Line {
    Line { sku: Sku::from(sku), quantity, missing }
}

pub(super) fn reserved(expires_after_ms: u64, told: &[(&str, u32, u32)]) -> Outcome {
    Outcome::Reserved { expires_after_ms, lines: lines(told), first: FirstDecided::default() }
}

pub(super) fn waiting(sku: &str, quantity: u32) -> Outcome {
    Outcome::Waiting { line: line(sku, quantity, quantity), first: FirstDecided::default() }
}

pub(super) fn refused(reason: Reason) -> Outcome {
    Outcome::Refused(Refusal::plain(reason))
}

pub(super) fn refused_value(reason: Reason, value: u64) -> Outcome {
    Outcome::Refused(Refusal { reason, sku: None, value })
}

pub(super) fn refused_sku(reason: Reason, sku: &str, value: u64) -> Outcome {
    Outcome::Refused(Refusal::of_sku(reason, Sku::from(sku), value))
}

pub(super) fn moved(state: HoldState, expires_after_ms: u64, told: &[(&str, u32, u32)]) -> Outcome {
    Outcome::Moved { state, expires_after_ms, lines: lines(told), unchanged: false, late: false }
}

pub(super) fn unchanged(state: HoldState, expires_after_ms: u64, told: &[(&str, u32, u32)]) -> Outcome {
    Outcome::Moved { state, expires_after_ms, lines: lines(told), unchanged: true, late: false }
}

pub(super) fn late(told: &[(&str, u32, u32)]) -> Outcome {
    let state = HoldState::Confirmed;
    Outcome::Moved { state, expires_after_ms: 0, lines: lines(told), unchanged: false, late: true }
}

pub(super) fn sale_is(state: SaleState) -> Outcome {
    Outcome::SaleChanged { state, unchanged: false }
}

pub(super) fn expired(n: u8, told: &[(&str, u32, u32)]) -> What {
    What::Expired { id: id(n), lines: lines(told), was_waiting: false }
}

pub(super) fn wait_ended(n: u8, sku: &str, quantity: u32) -> What {
    What::Expired { id: id(n), lines: lines(&[(sku, quantity, quantity)]), was_waiting: true }
}

pub(super) fn offered(n: u8, expires_after_ms: u64, sku: &str, quantity: u32) -> What {
    What::Offered { id: id(n), expires_after_ms, line: line(sku, quantity, 0) }
}
