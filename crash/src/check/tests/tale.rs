//! A history told line by line: each request brings a command, a decision and an answer, any of which may be a lie.

use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::decision::{
    BodyWriter, Envelope, FirstDecided, Granted, HoldState, Moved, Reason, SaleState, StockFigures,
    write_chain, write_digest, write_envelope,
};
use holdfast_contracts::{
    Chain, CustomerId, Digest, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId, SaleTerms,
};

use crate::check::ids::Deriver;
use crate::check::{Judgement, Promise, Verdict, check};
use crate::evidence::{
    Answer, Ask, AskedLine, DumpRecord, Evidence, GrantedLine, Invoke, Operation, Outcome, Place, Settings,
    Terms,
};

pub(super) const SKU: &str = "A1";
pub(super) const SALE: &str = "launch";
pub(super) const TTL_MS: u32 = 1_000;
const BEGUN_MS: u64 = 1_700_000_000_000;

/// What is decided.
#[derive(Debug, Clone, Copy)]
pub(super) enum Say {
    Grant,
    /// A grant that leaves so many out.
    Short(u32),
    /// A grant that lives so long.
    GrantFor(u64),
    Replay {
        ago_ms: u64,
        offset: u64,
    },
    Refuse(Reason, u64),
    RefuseAgain(Reason, u64),
    Move(HoldState),
    Stay(HoldState),
}

/// Which of the traces of a request there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    Whole,
    NoCommand,
    NoDecision,
}

/// A history in the making.
pub(super) struct Tale {
    pub(super) evidence: Evidence,
    pub(super) now_ms: u64,
    op: u64,
    offset: u64,
    out_seq: u64,
    chain: Chain,
    deriver: Deriver,
}

impl Tale {
    /// Nothing has happened.
    pub(super) fn empty() -> Self {
        let id_key = "5a".repeat(32);
        let deriver = Deriver::new(&id_key, 1).unwrap();
        let settings = Settings {
            started_wall_ms: BEGUN_MS,
            partitions: 1,
            id_key,
            settled: true,
            ..Settings::default()
        };
        let evidence = Evidence { settings, ..Evidence::default() };
        Self { evidence, now_ms: BEGUN_MS, op: 0, offset: 0, out_seq: 0, chain: Chain::default(), deriver }
    }

    /// A sale is open, with so many units, and so many for each customer.
    pub(super) fn sale(units: u64, per_customer: u32) -> Self {
        let mut tale = Self::empty();
        let admin = || "admin".to_owned();
        let ask =
            Ask::SetStock { subject: admin(), key: "stock".to_owned(), sku: SKU.to_owned(), on_hand: units };
        let id = tale.id(&ask);
        let set = SetStock {
            command_id: id,
            sku: 0,
            on_hand: units,
            expected: None,
            force: false,
            reason: "r",
            reference: "",
        };
        let offset = tale.command(|b| {
            b.sku(SKU);
            b.push(&Command::SetStock(set));
        });
        let figures = StockFigures { on_hand: units, available: units, ..StockFigures::default() };
        tale.output(offset, &[SKU], |w| w.stock_changed(id, false, 0, figures, &[]));
        let told =
            Answer { status: Some(200), figures: Some([units, units, 0, 0, 0, 0]), ..Answer::default() };
        tale.operation(ask, Outcome::Ok(told));

        let terms = Terms { hold_ttl_ms: TTL_MS, units_per_customer_max: per_customer };
        let skus = vec![SKU.to_owned()];
        let ask = Ask::DefineSale {
            subject: admin(),
            key: "sale".to_owned(),
            sale_id: SALE.to_owned(),
            skus,
            terms,
        };
        let id = tale.id(&ask);
        let terms =
            SaleTerms { hold_ttl_ms: TTL_MS, units_per_customer_max: per_customer, ..SaleTerms::default() };
        let define = DefineSale { command_id: id, sale_id: SALE, terms, skus: SkuList::of(&[0]) };
        let offset = tale.command(|b| {
            b.sku(SKU);
            b.push(&Command::DefineSale(define));
        });
        tale.output(offset, &[], |w| w.sale_changed(Some(id), false, SaleState::Draft, false));
        tale.operation(ask, Outcome::Ok(state("draft")));

        let offset = tale.command(|b| b.push(&Command::OpenSale { sale_id: SALE }));
        tale.output(offset, &[], |w| w.sale_changed(None, false, SaleState::Open, false));
        tale.operation(Ask::OpenSale { sale_id: SALE.to_owned() }, Outcome::Ok(state("open")));
        tale
    }

    /// The id of a request.
    pub(super) fn id(&self, ask: &Ask) -> ReservationId {
        self.deriver.id_of(ask).unwrap()
    }

    pub(super) fn customer(&self, subject: &str) -> CustomerId {
        self.deriver.customer(subject)
    }

    pub(super) const fn next_offset(&self) -> u64 {
        self.offset
    }

    /// Time passes.
    pub(super) fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    /// Writes a command record.
    pub(super) fn command(&mut self, build: impl FnOnce(&mut BatchBuilder)) -> u64 {
        let mut builder = BatchBuilder::default();
        builder.start(IntakeId(7), RequestTag(0));
        build(&mut builder);
        self.raw_command(builder.bytes().to_vec())
    }

    pub(super) fn raw_command(&mut self, payload: Vec<u8>) -> u64 {
        let record = DumpRecord { partition: 0, offset: self.offset, append_ms: self.now_ms, payload };
        self.evidence.commands.records.push(record);
        self.offset += 1;
        self.offset - 1
    }

    /// Writes the output of a command record.
    pub(super) fn output(&mut self, source: u64, skus: &[&str], body: impl FnOnce(&mut BodyWriter<'_>)) {
        self.output_with(source, skus, None, body);
    }

    pub(super) fn output_with(
        &mut self,
        source: u64,
        skus: &[&str],
        digest: Option<u128>,
        body: impl FnOnce(&mut BodyWriter<'_>),
    ) {
        self.out_seq += 1;
        let mut payload = Vec::new();
        write_envelope(
            &mut payload,
            Envelope { source_offset: Offset(source), out_seq: OutSeq(self.out_seq) },
        );
        let mut writer = BodyWriter::new(&mut payload);
        writer.header(LogTime(self.now_ms), IntakeId(7), RequestTag(0));
        for sku in skus {
            writer.sku(sku);
        }
        body(&mut writer);
        if let Some(digest) = digest {
            write_digest(&mut payload, Digest(digest));
        }
        let mut chain = [0; 16];
        let input = [&self.chain.0[..], &payload].concat();
        chain.copy_from_slice(&blake3::hash(&input).as_bytes()[..16]);
        self.chain = Chain(chain);
        write_chain(&mut payload, self.chain);
        let offset = self.evidence.decisions.records.len() as u64;
        let record = DumpRecord { partition: 0, offset, append_ms: self.now_ms + 1, payload };
        self.evidence.decisions.records.push(record);
    }

    /// A hold ends by time, in the record of a tick.
    pub(super) fn expire(&mut self, id: ReservationId, units: u32) {
        let wall = LogTime(self.now_ms);
        let offset = self.command(|b| b.push(&Command::Tick { wall, log_id: None }));
        self.output(offset, &[SKU], |w| {
            w.expired(None, id, &[Granted { sku: 0, quantity: units, missing: 0 }], false);
            w.nothing();
        });
        self.wait(2);
    }

    /// A tick that brings nothing about.
    pub(super) fn tick(&mut self) {
        let wall = LogTime(self.now_ms);
        self.command(|b| b.push(&Command::Tick { wall, log_id: None }));
        self.wait(1);
    }

    /// A request and its end, 1 ms before and after the record.
    pub(super) fn operation(&mut self, ask: Ask, outcome: Outcome) {
        let at = |ms: u64| (ms - BEGUN_MS) * 1_000;
        let invoke = Invoke { op: self.op, at_us: at(self.now_ms) + 100, intake: "i1".to_owned(), ask };
        let (op, at_us) = (self.op, at(self.now_ms) + 900);
        let outcome = match outcome {
            Outcome::Ok(answer) => Outcome::Ok(Answer { op, at_us, ..answer }),
            Outcome::Fail(answer) => Outcome::Fail(Answer { op, at_us, ..answer }),
            Outcome::Unknown(answer) => Outcome::Unknown(answer.map(|answer| Answer { op, at_us, ..answer })),
        };
        self.evidence.operations.push(Operation { invoke, outcome });
        self.op += 1;
        self.now_ms += 2;
    }

    /// A buyer asks for units.
    pub(super) fn reserve(&mut self, subject: &str, key: &str, units: u32, say: Say) -> ReservationId {
        self.reserve_traced(subject, key, units, say, Trace::Whole)
    }

    pub(super) fn reserve_traced(
        &mut self,
        subject: &str,
        key: &str,
        units: u32,
        say: Say,
        trace: Trace,
    ) -> ReservationId {
        let lines = vec![AskedLine { sku: SKU.to_owned(), quantity: units }];
        let ask = Ask::Reserve { subject: subject.to_owned(), key: key.to_owned(), lines };
        let (id, customer) = (self.id(&ask), self.customer(subject));
        let mut offset = self.offset;
        if trace != Trace::NoCommand {
            offset = self.command(|b| {
                let sku = b.sku(SKU);
                b.reserve_one(id, customer, Line { sku, quantity: units });
            });
        }
        if trace == Trace::Whole {
            self.output(offset, &[SKU], |w| decide(w, id, units, say));
        }
        let answer = self.told(id, offset, units, say);
        self.operation(ask, Outcome::Ok(answer));
        id
    }

    pub(super) fn confirm(&mut self, subject: &str, id: ReservationId, units: u32, say: Say) {
        let ask = Ask::Confirm { subject: subject.to_owned(), reservation_id: id.to_string() };
        let customer = self.customer(subject);
        let offset =
            self.command(|b| b.push(&Command::Confirm { reservation_id: id, customer, reacquire: false }));
        self.output(offset, &[SKU], |w| decide(w, id, units, say));
        let answer = self.told(id, offset, units, say);
        self.operation(ask, Outcome::Ok(answer));
    }

    pub(super) fn release(&mut self, subject: &str, id: ReservationId, units: u32, say: Say) {
        let ask = Ask::Release { subject: subject.to_owned(), reservation_id: id.to_string() };
        let customer = self.customer(subject);
        let offset = self.command(|b| b.push(&Command::Release { reservation_id: id, customer }));
        self.output(offset, &[SKU], |w| decide(w, id, units, say));
        let answer = self.told(id, offset, units, say);
        self.operation(ask, Outcome::Ok(answer));
    }

    fn told(&self, id: ReservationId, offset: u64, units: u32, say: Say) -> Answer {
        let line = |granted| vec![GrantedLine { sku: SKU.to_owned(), quantity: units, granted }];
        let base = Answer {
            decided_by: Some("sequencer".to_owned()),
            reservation_id: Some(id.to_string()),
            position: Some(Place { partition: 0, offset, index: 0 }),
            ..Answer::default()
        };
        let held = |granted| Answer { status: Some(201), lines: line(granted), ..state("held") };
        let told = match say {
            Say::Grant | Say::GrantFor(_) => held(units),
            Say::Short(missing) => held(units - missing),
            Say::Replay { offset, .. } => {
                let position = Some(Place { partition: 0, offset, index: 0 });
                return Answer {
                    position,
                    status: Some(200),
                    replay: true,
                    lines: line(units),
                    state: held(0).state,
                    ..base
                };
            }
            Say::Refuse(reason, _) | Say::RefuseAgain(reason, _) => Answer {
                status: Some(409),
                code: Some(code(reason).to_owned()),
                replay: matches!(say, Say::RefuseAgain(..)),
                ..Answer::default()
            },
            Say::Move(to) | Say::Stay(to) => {
                Answer { status: Some(200), lines: line(units), ..state(to.name()) }
            }
        };
        Answer {
            decided_by: base.decided_by,
            reservation_id: base.reservation_id,
            position: base.position,
            ..told
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        check(&self.evidence)
    }

    #[track_caller]
    pub(super) fn passes(&self) {
        let verdict = self.verdict();
        assert_eq!(verdict.verdict, Judgement::Pass, "{verdict}");
    }

    /// Fails, names this promise, and names no other one first.
    #[track_caller]
    pub(super) fn breaks(&self, promise: Promise) {
        let verdict = self.verdict();
        assert_eq!(verdict.verdict, Judgement::Fail, "{verdict}");
        assert!(verdict.broken.contains_key(&promise), "{promise} is not named: {verdict}");
        assert!(verdict.breaches.iter().any(|it| it.promise == promise && !it.what.is_empty()));
    }

    /// Fails with this promise and no other.
    #[track_caller]
    pub(super) fn breaks_only(&self, promise: Promise) {
        self.breaks(promise);
        let verdict = self.verdict();
        assert_eq!(verdict.broken.len(), 1, "{verdict}");
    }
}

pub(super) fn decide(w: &mut BodyWriter<'_>, id: ReservationId, units: u32, say: Say) {
    let line = |missing| [Granted { sku: 0, quantity: units, missing }];
    let ttl = u64::from(TTL_MS);
    let moved =
        |state, unchanged| Moved { state, expires_after_ms: 0, unchanged, late: false, replay: false };
    match say {
        Say::Grant => w.reserved(id, ttl, &line(0), None),
        Say::Short(missing) => w.reserved(id, ttl, &line(missing), None),
        Say::GrantFor(ms) => w.reserved(id, ms, &line(0), None),
        Say::Replay { ago_ms, offset } => {
            w.reserved(id, ttl, &line(0), Some(FirstDecided { ago_ms, offset, index: 0 }));
        }
        Say::Refuse(reason, value) => w.refused(Some(id), false, reason, blamed(reason), value),
        Say::RefuseAgain(reason, value) => w.refused(Some(id), true, reason, blamed(reason), value),
        Say::Move(state) => w.moved(id, moved(state, false), &line(0)),
        Say::Stay(state) => w.moved(id, moved(state, true), &line(0)),
    }
}

fn blamed(reason: Reason) -> Option<u32> {
    matches!(reason, Reason::InsufficientStock | Reason::PurchaseLimit).then_some(0)
}

fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::InsufficientStock => "INSUFFICIENT_STOCK",
        Reason::PurchaseLimit => "PURCHASE_LIMIT",
        Reason::IdReused => "IDEMPOTENCY_CONFLICT",
        Reason::Expired => "EXPIRED",
        Reason::Released => "RELEASED",
        Reason::AlreadyConfirmed => "ALREADY_CONFIRMED",
        Reason::SaleClosed => "SALE_CLOSED",
        _ => "UNKNOWN_RESERVATION",
    }
}

fn state(state: &str) -> Answer {
    Answer { status: Some(200), state: Some(state.to_owned()), ..Answer::default() }
}
