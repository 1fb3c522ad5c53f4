//! The wire format cannot drift unnoticed: one record of each kind as the first version wrote it, byte for byte.
//!
//! A line of `golden.txt` is never changed, for logs keep such records for years. New lines are added for new kinds and
//! fields; the failing test prints them.

use crate::{commands, decisions, reference};
use holdfast_contracts_reference::inventory as pb;
use pb::command::Kind;
use pb::decision::Outcome;
use pb::event::What;
use std::collections::BTreeMap;
use std::fmt::Write;

fn golden() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("golden.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').expect("a name and its bytes")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// An id that shows its order of bytes.
fn id(first: u8) -> Vec<u8> {
    (first..).take(16).collect()
}

fn buyers_commands() -> Vec<(&'static str, Kind)> {
    let lines = vec![pb::Line { sku: 0, quantity: 1 }, pb::Line { sku: 1, quantity: 300 }];
    let reserve = |lines, allow_partial, join_waitlist| {
        let customer = 0x0102_0304_0506_0708;
        Kind::Reserve(pb::Reserve { reservation_id: id(0), customer, lines, allow_partial, join_waitlist })
    };
    let about = (id(0x10), 0xfeed_u64);
    vec![
        ("reserve", reserve(lines[..1].to_vec(), false, false)),
        ("reserve_partial", reserve(lines.clone(), true, false)),
        ("reserve_waitlist", reserve(lines[1..].to_vec(), false, true)),
        (
            "begin_payment",
            Kind::BeginPayment(pb::BeginPayment { reservation_id: about.0.clone(), customer: about.1 }),
        ),
        (
            "confirm",
            Kind::Confirm(pb::Confirm { reservation_id: about.0.clone(), customer: 0, reacquire: true }),
        ),
        ("release", Kind::Release(pb::Release { reservation_id: about.0.clone(), customer: about.1 })),
        (
            "extend",
            Kind::Extend(pb::Extend {
                reservation_id: about.0,
                customer: about.1,
                by_ms: 60_000,
                command_id: id(0x20),
            }),
        ),
    ]
}

fn administrators_commands() -> Vec<(&'static str, Kind)> {
    let terms = pb::SaleTerms {
        hold_ttl_ms: 600_000,
        payment_window_ms: 120_000,
        units_per_customer_max: 2,
        units_per_reservation_max: 4,
        extend_max: 1,
        hold_total_max_ms: 1_800_000,
        offer_ttl_ms: 300_000,
        opens_at_ms: 1_790_000_000_000,
        closes_at_ms: 1_790_003_600_000,
        waitlist: true,
    };
    vec![
        (
            "set_stock",
            Kind::SetStock(pb::SetStock {
                command_id: id(0x30),
                sku: 1,
                on_hand: 1_000,
                expected: Some(0),
                force: true,
                reason: "stocktake".into(),
                reference: "ST-7".into(),
            }),
        ),
        (
            "adjust_stock",
            Kind::AdjustStock(pb::AdjustStock {
                command_id: id(0x40),
                sku: 1,
                delta: -3,
                set_aside: 2,
                reason: "damaged".into(),
                reference: "D-1".into(),
            }),
        ),
        (
            "define_sale",
            Kind::DefineSale(pb::DefineSale {
                command_id: id(0x50),
                sale_id: "spring".into(),
                terms: Some(terms),
                skus: vec![0, 1, 300],
            }),
        ),
        ("open_sale", Kind::OpenSale(pb::OpenSale { sale_id: "spring".into() })),
        ("pause_sale", Kind::PauseSale(pb::PauseSale { sale_id: "spring".into(), freeze_ttl: true })),
        ("close_sale", Kind::CloseSale(pb::CloseSale { sale_id: "spring".into() })),
        ("tick", Kind::Tick(pb::Tick { wall_ms: 1_790_000_000_000, log_id: id(0x60) })),
        (
            "activate_rules",
            Kind::ActivateRules(pb::ActivateRules {
                version: 2,
                dedupe_window_ms: 86_400_000,
                work_per_record_max: 1_024,
            }),
        ),
    ]
}

fn command_records() -> Vec<(&'static str, pb::CommandBatch)> {
    let batch = |kind| pb::CommandBatch {
        intake_id: 7,
        first_request_tag: 1_000,
        skus: vec!["A1".into(), "Grün".into()],
        commands: vec![pb::Command { kind: Some(kind) }],
        control_mac: Vec::new(),
    };
    let kinds = buyers_commands().into_iter().chain(administrators_commands());
    let mut records: Vec<_> = kinds.map(|(name, kind)| (name, batch(kind))).collect();
    let open = Kind::OpenSale(pb::OpenSale { sale_id: "spring".into() });
    records.push(("authenticated", pb::CommandBatch { control_mac: id(0x90), ..batch(open) }));
    records
}

const LINE: pb::Granted = pb::Granted { sku: 0, quantity: 2, missing: 0 };

fn decisions_of_each_kind() -> Vec<(&'static str, pb::Decision)> {
    let line = LINE;
    let partial = pb::Granted { sku: 1, quantity: 5, missing: 4 };
    let reserved = |lines, decided: (u64, u64, u32)| {
        Some(Outcome::Reserved(pb::Reserved {
            expires_after_ms: 600_000,
            lines,
            decided_ago_ms: decided.0,
            decided_offset: decided.1,
            decided_index: decided.2,
        }))
    };
    let waiting = pb::Waiting {
        line: Some(pb::Granted { sku: 1, quantity: 2, missing: 2 }),
        decided_offset: 40,
        decided_index: 3,
    };
    let refused = pb::Refused { reason: pb::Reason::InsufficientStock.into(), sku_plus_one: 1, value: 1 };
    let moved = pb::Moved {
        state: pb::HoldState::Confirmed.into(),
        expires_after_ms: 5,
        lines: vec![line],
        unchanged: true,
        late: true,
    };
    let stock = pb::StockChanged {
        sku: 1,
        on_hand: 10,
        available: 1,
        held: 2,
        committed: 3,
        unavailable: 4,
        shortfall: 5,
        cancel_first: vec![id(0x10), id(0x20)],
    };
    let sale = pb::SaleChanged { state: pb::SaleState::Paused.into(), unchanged: true };
    let outcomes = [
        ("nothing", vec![], false, None),
        ("reserved", id(0), false, reserved(vec![line], (0, 0, 0))),
        ("reserved_again", id(0), true, reserved(vec![line, partial], (1_500, 40, 3))),
        ("waiting_again", id(0), true, Some(Outcome::Waiting(waiting))),
        ("refused", id(0), false, Some(Outcome::Refused(refused))),
        ("moved", id(0), false, Some(Outcome::Moved(moved))),
        ("stock_changed", id(0x30), false, Some(Outcome::StockChanged(stock))),
        ("sale_changed", id(0x50), true, Some(Outcome::SaleChanged(sale))),
        ("rules_activated", vec![], false, Some(Outcome::RulesActivated(pb::RulesActivated { version: 2 }))),
    ];
    let decision = |(name, id, replay, outcome)| (name, pb::Decision { id, replay, outcome });
    outcomes.into_iter().map(decision).collect()
}

fn events_of_each_kind() -> Vec<(&'static str, pb::Event)> {
    let line = LINE;
    let events = [
        ("expired", 0, id(0), What::Expired(pb::Expired { lines: vec![line], was_waiting: true })),
        ("offered", 3, id(0), What::Offered(pb::Offered { expires_after_ms: 300_000, line: Some(line) })),
        (
            "clock_suspect",
            1,
            vec![],
            What::ClockSuspect(pb::ClockSuspect { append_time_ms: 1_790_000_500_000 }),
        ),
        ("clock_trusted", 2, vec![], What::ClockTrusted(pb::ClockTrusted { step_ms: 500_000 })),
    ];
    let event = |(name, cause, id, what)| (name, pb::Event { cause, id, what: Some(what) });
    events.into_iter().map(event).collect()
}

fn decision_records() -> Vec<(&'static str, pb::DecisionBatch)> {
    let base = pb::DecisionBatch {
        source_offset: 41,
        out_seq: 300,
        log_time_ms: 1_790_000_000_000,
        intake_id: 7,
        first_request_tag: 1_000,
        skus: vec!["A1".into(), "Grün".into()],
        chain: id(0x70),
        ..pb::DecisionBatch::default()
    };
    let mut records = vec![
        ("malformed", pb::DecisionBatch { malformed: Some(pb::Malformed { code: 13 }), ..base.clone() }),
        ("digest", pb::DecisionBatch { state_digest: id(0x80), ..base.clone() }),
    ];
    records.extend(
        decisions_of_each_kind()
            .into_iter()
            .map(|(name, decision)| (name, pb::DecisionBatch { decisions: vec![decision], ..base.clone() })),
    );
    records.extend(
        events_of_each_kind()
            .into_iter()
            .map(|(name, event)| (name, pb::DecisionBatch { events: vec![event], ..base.clone() })),
    );
    records
}

#[test]
fn records_of_each_kind_are_what_they_always_were() {
    let mut golden = golden();
    let mut new = Vec::new();
    for (name, model) in command_records() {
        let Some(line) = golden.remove(name) else {
            new.push(format!("{name} {}", hex(&reference::write_commands(&model))));
            continue;
        };
        assert_eq!(hex(&reference::write_commands(&model)), line, "{name} is written differently");
        assert_eq!(commands::read(&unhex(line)), Ok(model), "{name} is read differently");
    }
    for (name, model) in decision_records() {
        let Some(line) = golden.remove(name) else {
            new.push(format!("{name} {}", hex(&reference::write_decisions(&model))));
            continue;
        };
        assert_eq!(hex(&reference::write_decisions(&model)), line, "{name} is written differently");
        assert_eq!(decisions::read(&unhex(line)), Ok(model), "{name} is read differently");
    }
    assert!(new.is_empty(), "lines to add to golden.txt:\n{}", new.join("\n"));
    assert!(golden.is_empty(), "nothing makes these records any more: {:?}", golden.keys());
}
