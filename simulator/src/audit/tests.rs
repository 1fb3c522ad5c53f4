//! Histories made wrong by hand: the auditor must object to each.

use holdfast_contracts::command::{Command, Line as AskedLine, Lines, Reserve, SetStock, SkuList};
use holdfast_contracts::decision::{FirstDecided, HoldState, Reason, SaleState, StockFigures};
use holdfast_contracts::{CustomerId, IntakeId, RequestTag, ReservationId};

use super::Auditor;
use crate::answer::{Decision, Event, Expected, Line, Outcome, Refusal, Sku, What};
use crate::record::encode_batch;

const NOW: u64 = 1_700_000_000_000;

/// An auditor that has seen a sale of SKU `A` opened with some units.
struct Desk {
    auditor: Auditor,
    offset: u64,
    now: u64,
}

fn id(n: u8) -> ReservationId {
    ReservationId([n; 16])
}

fn line(quantity: u32, missing: u32) -> Line {
    Line { sku: Sku::from("A"), quantity, missing }
}

fn granted(quantity: u32) -> Outcome {
    Outcome::Reserved {
        expires_after_ms: 100,
        lines: vec![line(quantity, 0)],
        first: FirstDecided::default(),
    }
}

fn moved(state: HoldState) -> Outcome {
    Outcome::Moved { state, expires_after_ms: 0, lines: vec![line(1, 0)], unchanged: false, late: false }
}

fn sold_out(value: u64) -> Outcome {
    Outcome::Refused(Refusal::of_sku(Reason::InsufficientStock, Sku::from("A"), value))
}

fn figures(available: u64, held: u64) -> StockFigures {
    StockFigures { on_hand: available + held, available, held, ..StockFigures::default() }
}

impl Desk {
    fn with_stock(on_hand: u64) -> Self {
        let mut desk = Self { auditor: Auditor::default(), offset: 0, now: NOW };
        let define = Command::DefineSale(holdfast_contracts::command::DefineSale {
            command_id: id(200),
            sale_id: "s",
            terms: holdfast_contracts::SaleTerms::default(),
            skus: SkuList::of(&[0]),
        });
        let open = Outcome::SaleChanged { state: SaleState::Open, unchanged: false };
        desk.told(&define, open).expect("a fair answer");
        desk.set(on_hand, figures(on_hand, 0)).expect("a fair answer");
        desk
    }

    fn record(
        &mut self,
        command: &Command<'_>,
        decision: Decision,
        events: Vec<Event>,
    ) -> Result<(), String> {
        let payload = encode_batch((IntakeId(0), RequestTag(0)), &["A"], &[*command]);
        let log_time_ms = self.now;
        let answers = Expected { log_time_ms, events, decisions: vec![decision], ..Expected::default() };
        self.offset += 1;
        self.auditor.check(self.offset, &payload, Some(&answers))
    }

    fn told(&mut self, command: &Command<'_>, outcome: Outcome) -> Result<(), String> {
        let about = match command {
            Command::Reserve(it) => it.reservation_id,
            Command::Confirm { reservation_id, .. } | Command::Release { reservation_id, .. } => {
                *reservation_id
            }
            _ => id(200),
        };
        let decision = Decision { id: Some(about), replay: false, outcome: Some(outcome) };
        self.record(command, decision, Vec::new())
    }

    fn set(&mut self, on_hand: u64, told: StockFigures) -> Result<(), String> {
        let set = Command::SetStock(SetStock {
            command_id: id(201),
            sku: 0,
            on_hand,
            expected: None,
            force: false,
            reason: "",
            reference: "",
        });
        let sku = Sku::from("A");
        self.told(&set, Outcome::StockChanged { sku, figures: told, cancel_first: Vec::new() })
    }

    fn reserve(&mut self, n: u8, quantity: u32, outcome: Outcome) -> Result<(), String> {
        let lines = [AskedLine { sku: 0, quantity }];
        self.told(&ask(n, &lines), outcome)
    }

    fn replay(&mut self, n: u8, outcome: Outcome) -> Result<(), String> {
        let lines = [AskedLine { sku: 0, quantity: 1 }];
        let decision = Decision { id: Some(id(n)), replay: true, outcome: Some(outcome) };
        self.record(&ask(n, &lines), decision, Vec::new())
    }

    fn confirm(&mut self, n: u8, outcome: Outcome) -> Result<(), String> {
        let (reservation_id, customer) = (id(n), CustomerId(0));
        self.told(&Command::Confirm { reservation_id, customer, reacquire: false }, outcome)
    }

    fn release(&mut self, n: u8, outcome: Outcome) -> Result<(), String> {
        self.told(&Command::Release { reservation_id: id(n), customer: CustomerId(0) }, outcome)
    }

    fn event(&mut self, what: What) -> Result<(), String> {
        let tick = Command::Tick { wall: holdfast_contracts::LogTime(self.now), log_id: None };
        self.record(&tick, Decision::default(), vec![Event { cause: None, what }])
    }

    fn expired(&mut self, n: u8) -> Result<(), String> {
        self.event(What::Expired { id: id(n), lines: vec![line(1, 0)], was_waiting: false })
    }

    fn waits(&mut self, n: u8, quantity: u32) {
        let outcome = Outcome::Waiting { line: line(quantity, quantity), first: FirstDecided::default() };
        self.reserve(n, quantity, outcome).expect("a fair answer");
    }
}

fn ask(n: u8, lines: &[AskedLine]) -> Command<'_> {
    Command::Reserve(Reserve {
        reservation_id: id(n),
        customer: CustomerId(7),
        lines: Lines::of(lines),
        allow_partial: false,
        join_waitlist: false,
    })
}

#[test]
fn an_honest_history_passes() {
    let mut desk = Desk::with_stock(2);
    desk.reserve(1, 1, granted(1)).expect("fair");
    desk.reserve(2, 1, granted(1)).expect("fair");
    desk.reserve(3, 1, sold_out(0)).expect("fair");
    desk.confirm(1, moved(HoldState::Confirmed)).expect("fair");
    desk.now += 100;
    desk.expired(2).expect("fair");
    desk.set(2, StockFigures { on_hand: 2, available: 1, committed: 1, ..StockFigures::default() })
        .expect("fair");
}

#[test]
fn oversell_is_noticed() {
    let mut desk = Desk::with_stock(1);
    desk.reserve(1, 1, granted(1)).expect("fair");
    assert!(desk.reserve(2, 1, granted(1)).is_err());
}

#[test]
fn units_that_appear_or_vanish_are_noticed() {
    let mut desk = Desk::with_stock(5);
    desk.reserve(1, 1, granted(1)).expect("fair");
    assert!(desk.set(5, figures(5, 0)).is_err());
    let mut desk = Desk::with_stock(5);
    assert!(desk.set(4, figures(5, 0)).is_err());
}

#[test]
fn a_second_ending_is_noticed() {
    let mut desk = Desk::with_stock(5);
    desk.reserve(1, 1, granted(1)).expect("fair");
    desk.confirm(1, moved(HoldState::Confirmed)).expect("fair");
    assert!(desk.release(1, moved(HoldState::Released)).is_err());
    desk.now += 100;
    assert!(desk.expired(1).is_err());
}

#[test]
fn an_early_expiry_and_a_late_confirm_are_noticed() {
    let mut desk = Desk::with_stock(5);
    desk.reserve(1, 1, granted(1)).expect("fair");
    desk.reserve(2, 1, granted(1)).expect("fair");
    desk.now += 99;
    assert!(desk.expired(1).is_err());
    desk.now += 1;
    assert!(desk.confirm(2, moved(HoldState::Confirmed)).is_err());
}

#[test]
fn a_false_sold_out_is_noticed() {
    let mut desk = Desk::with_stock(5);
    assert!(desk.reserve(1, 6, sold_out(4)).is_err());
    desk.reserve(2, 6, sold_out(5)).expect("fair");
}

#[test]
fn a_second_decision_or_another_answer_is_noticed() {
    let mut desk = Desk::with_stock(5);
    desk.reserve(1, 1, granted(1)).expect("fair");
    assert!(desk.clone_and(|desk| desk.reserve(1, 1, granted(1))).is_err());
    assert!(desk.clone_and(|desk| desk.replay(1, sold_out(0))).is_err());
    assert!(desk.clone_and(|desk| desk.replay(9, granted(1))).is_err());
    let first = FirstDecided { ago_ms: 0, offset: 3, index: 0 };
    let again = Outcome::Reserved { expires_after_ms: 100, lines: vec![line(1, 0)], first };
    desk.replay(1, again).expect("fair");
    let mut desk = Desk::with_stock(0);
    desk.reserve(1, 1, sold_out(0)).expect("fair");
    desk.now += 10_000;
    assert!(desk.reserve(1, 1, sold_out(0)).is_err());
}

#[test]
fn a_buyer_who_overtakes_the_line_is_noticed() {
    let mut desk = Desk::with_stock(2);
    desk.waits(1, 3);
    assert!(desk.reserve(2, 1, granted(1)).is_err());
}

#[test]
fn an_offer_to_the_wrong_one_is_noticed() {
    let mut desk = Desk::with_stock(2);
    desk.waits(1, 2);
    desk.waits(2, 1);
    let offer = |n, units| What::Offered { id: id(n), expires_after_ms: 50, line: line(units, 0) };
    assert!(desk.clone_and(|desk| desk.event(offer(2, 1))).is_err());
    desk.event(offer(1, 2)).expect("fair");
}

#[test]
fn time_that_goes_back_and_missing_answers_are_noticed() {
    let mut desk = Desk::with_stock(2);
    desk.now -= 1;
    assert!(desk.reserve(1, 1, granted(1)).is_err());
    let mut desk = Desk::with_stock(2);
    let payload = encode_batch((IntakeId(0), RequestTag(0)), &[], &[Command::OpenSale { sale_id: "s" }]);
    let answers = Expected { log_time_ms: NOW, malformed: Some(1), ..Expected::default() };
    assert!(desk.auditor.check(9, &payload, Some(&answers)).is_err());
}

impl Desk {
    /// Tries something on a copy.
    fn clone_and(&self, does: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        does(&mut Self { auditor: self.auditor.clone(), offset: self.offset, now: self.now })
    }
}
