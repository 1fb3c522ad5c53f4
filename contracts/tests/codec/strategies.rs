//! Random values of every command, decision and event, within the bounds of the contract.

use holdfast_contracts_reference::inventory as pb;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn id() -> impl Strategy<Value = Vec<u8>> {
    any::<[u8; 16]>().prop_map(Vec::from)
}

fn optional_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), id()]
}

/// Numbers whose varints have every length, and the default, which is not written at all.
fn u32s() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..200u32, (0..32u32).prop_map(|bits| 1 << bits), any::<u32>(), Just(u32::MAX)]
}

fn u64s() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..200u64, (0..64u32).prop_map(|bits| 1 << bits), any::<u64>(), Just(u64::MAX)]
}

fn i64s() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), -200..200i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
}

/// At most 256 bytes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z ]{1,20}", "\\PC{0,64}"]
}

fn dictionary() -> impl Strategy<Value = Vec<String>> {
    btree_set(prop_oneof!["[A-Z]{1,3}-[0-9]{1,9}", "\\PC{1,16}"], 0..20)
        .prop_map(|skus| skus.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

pub(crate) fn commands() -> impl Strategy<Value = pb::CommandBatch> {
    (u64s(), u64s(), dictionary(), vec(kind(), 1..20), optional_id()).prop_map(
        |(intake_id, first_request_tag, skus, kinds, control_mac)| pb::CommandBatch {
            intake_id,
            first_request_tag,
            skus,
            commands: kinds.into_iter().map(|kind| pb::Command { kind: Some(kind) }).collect(),
            control_mac,
        },
    )
}

fn kind() -> impl Strategy<Value = pb::command::Kind> {
    use pb::command::Kind;
    let line = (u32s(), u32s()).prop_map(|(sku, quantity)| pb::Line { sku, quantity });
    prop_oneof![
        (id(), u64s(), vec(line, 0..=32), any::<bool>(), any::<bool>()).prop_map(
            |(reservation_id, customer, lines, allow_partial, join_waitlist)| Kind::Reserve(pb::Reserve {
                reservation_id,
                customer,
                lines,
                allow_partial,
                join_waitlist
            })
        ),
        (id(), u64s()).prop_map(|(reservation_id, customer)| Kind::BeginPayment(pb::BeginPayment {
            reservation_id,
            customer
        })),
        (id(), u64s(), any::<bool>()).prop_map(|(reservation_id, customer, reacquire)| Kind::Confirm(
            pb::Confirm { reservation_id, customer, reacquire }
        )),
        (id(), u64s())
            .prop_map(|(reservation_id, customer)| Kind::Release(pb::Release { reservation_id, customer })),
        (id(), u64s(), u32s(), optional_id()).prop_map(|(reservation_id, customer, by_ms, command_id)| {
            Kind::Extend(pb::Extend { reservation_id, customer, by_ms, command_id })
        }),
        (id(), u32s(), u64s(), proptest::option::of(u64s()), any::<bool>(), text(), text()).prop_map(
            |(command_id, sku, on_hand, expected, force, reason, reference)| Kind::SetStock(pb::SetStock {
                command_id,
                sku,
                on_hand,
                expected,
                force,
                reason,
                reference
            })
        ),
        (id(), u32s(), i64s(), i64s(), text(), text()).prop_map(
            |(command_id, sku, delta, set_aside, reason, reference)| Kind::AdjustStock(pb::AdjustStock {
                command_id,
                sku,
                delta,
                set_aside,
                reason,
                reference
            })
        ),
        (id(), text(), terms(), vec(u32s(), 0..200)).prop_map(|(command_id, sale_id, terms, skus)| {
            Kind::DefineSale(pb::DefineSale { command_id, sale_id, terms: Some(terms), skus })
        }),
        text().prop_map(|sale_id| Kind::OpenSale(pb::OpenSale { sale_id })),
        (text(), any::<bool>())
            .prop_map(|(sale_id, freeze_ttl)| Kind::PauseSale(pb::PauseSale { sale_id, freeze_ttl })),
        text().prop_map(|sale_id| Kind::CloseSale(pb::CloseSale { sale_id })),
        (u64s(), optional_id()).prop_map(|(wall_ms, log_id)| Kind::Tick(pb::Tick { wall_ms, log_id })),
        (u32s(), u64s(), u32s()).prop_map(|(version, dedupe_window_ms, work_per_record_max)| {
            Kind::ActivateRules(pb::ActivateRules { version, dedupe_window_ms, work_per_record_max })
        }),
    ]
}

fn terms() -> impl Strategy<Value = pb::SaleTerms> {
    (u32s(), u32s(), u32s(), u32s(), u32s(), u32s(), u32s(), u64s(), u64s(), any::<bool>()).prop_map(|it| {
        pb::SaleTerms {
            hold_ttl_ms: it.0,
            payment_window_ms: it.1,
            units_per_customer_max: it.2,
            units_per_reservation_max: it.3,
            extend_max: it.4,
            hold_total_max_ms: it.5,
            offer_ttl_ms: it.6,
            opens_at_ms: it.7,
            closes_at_ms: it.8,
            waitlist: it.9,
        }
    })
}

fn granted() -> impl Strategy<Value = pb::Granted> {
    (u32s(), u32s(), u32s()).prop_map(|(sku, quantity, missing)| pb::Granted { sku, quantity, missing })
}

fn granted_lines() -> impl Strategy<Value = Vec<pb::Granted>> {
    prop_oneof![vec(granted(), 1), vec(granted(), 0..=32)]
}

pub(crate) fn decisions() -> impl Strategy<Value = pb::DecisionBatch> {
    let malformed = proptest::option::of(u32s().prop_map(|code| pb::Malformed { code }));
    let numbers = (u64s(), 1..u64::MAX, u64s(), u64s(), u64s());
    (numbers, dictionary(), vec(event(), 0..10), vec(decision(), 0..20), malformed, optional_id(), id())
        .prop_map(|(numbers, skus, events, decisions, malformed, state_digest, chain)| pb::DecisionBatch {
            source_offset: numbers.0,
            out_seq: numbers.1,
            log_time_ms: numbers.2,
            intake_id: numbers.3,
            first_request_tag: numbers.4,
            skus,
            events,
            decisions,
            malformed,
            state_digest,
            chain,
        })
}

/// A decision as our writer can say it: where a replay was first decided is said for replays only, and what has no id of
/// its own carries none.
fn decision() -> impl Strategy<Value = pb::Decision> {
    use pb::decision::Outcome;
    (id(), any::<bool>(), any::<bool>(), outcome()).prop_map(|(id, has_id, replay, mut outcome)| {
        let (mut has_id, mut replay) = (has_id, replay);
        match &mut outcome {
            None | Some(Outcome::RulesActivated(_)) => (has_id, replay) = (false, false),
            Some(Outcome::Reserved(it)) => {
                has_id = true;
                if !replay {
                    (it.decided_ago_ms, it.decided_offset, it.decided_index) = (0, 0, 0);
                }
            }
            Some(Outcome::Waiting(it)) => {
                has_id = true;
                if !replay {
                    (it.decided_offset, it.decided_index) = (0, 0);
                }
            }
            Some(Outcome::Moved(_) | Outcome::StockChanged(_)) => has_id = true,
            Some(Outcome::Refused(_) | Outcome::SaleChanged(_)) => {}
        }
        pb::Decision { id: if has_id { id } else { Vec::new() }, replay, outcome }
    })
}

fn outcome() -> impl Strategy<Value = Option<pb::decision::Outcome>> {
    use pb::decision::Outcome;
    prop_oneof![
        Just(None),
        (u64s(), granted_lines(), u64s(), u64s(), u32s()).prop_map(|it| {
            Some(Outcome::Reserved(pb::Reserved {
                expires_after_ms: it.0,
                lines: it.1,
                decided_ago_ms: it.2,
                decided_offset: it.3,
                decided_index: it.4,
            }))
        }),
        (granted(), u64s(), u32s()).prop_map(|(line, decided_offset, decided_index)| {
            Some(Outcome::Waiting(pb::Waiting { line: Some(line), decided_offset, decided_index }))
        }),
        (1..=23i32, u32s(), u64s()).prop_map(|(reason, sku_plus_one, value)| {
            Some(Outcome::Refused(pb::Refused { reason, sku_plus_one, value }))
        }),
        (1..=6i32, u64s(), granted_lines(), any::<bool>(), any::<bool>()).prop_map(
            |(state, expires_after_ms, lines, unchanged, late)| {
                Some(Outcome::Moved(pb::Moved { state, expires_after_ms, lines, unchanged, late }))
            }
        ),
        ((u32s(), u64s(), u64s(), u64s(), u64s(), u64s(), u64s()), vec(id(), 0..=100)).prop_map(
            |(it, cancel_first)| {
                Some(Outcome::StockChanged(pb::StockChanged {
                    sku: it.0,
                    on_hand: it.1,
                    available: it.2,
                    held: it.3,
                    committed: it.4,
                    unavailable: it.5,
                    shortfall: it.6,
                    cancel_first,
                }))
            }
        ),
        (1..=4i32, any::<bool>()).prop_map(|(state, unchanged)| {
            Some(Outcome::SaleChanged(pb::SaleChanged { state, unchanged }))
        }),
        u32s().prop_map(|version| Some(Outcome::RulesActivated(pb::RulesActivated { version }))),
    ]
}

fn event() -> impl Strategy<Value = pb::Event> {
    use pb::event::What;
    let what = prop_oneof![
        (granted_lines(), any::<bool>())
            .prop_map(|(lines, was_waiting)| What::Expired(pb::Expired { lines, was_waiting })),
        (u64s(), granted()).prop_map(|(expires_after_ms, line)| What::Offered(pb::Offered {
            expires_after_ms,
            line: Some(line)
        })),
        u64s().prop_map(|append_time_ms| What::ClockSuspect(pb::ClockSuspect { append_time_ms })),
        u64s().prop_map(|step_ms| What::ClockTrusted(pb::ClockTrusted { step_ms })),
    ];
    (u32s(), id(), what).prop_map(|(cause, id, what)| {
        let has_id = matches!(what, What::Expired(_) | What::Offered(_));
        pb::Event { cause, id: if has_id { id } else { Vec::new() }, what: Some(what) }
    })
}
