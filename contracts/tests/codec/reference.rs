//! Translation between our borrowed values and the reference's owned ones.
//!
//! The reference's types serve as the model: a property draws one of them, and our value must translate to an equal one.

use holdfast_contracts::command::{
    AdjustStock, BatchBuilder, BatchHeader, Command, DefineSale, Line, Lines, Reserve, SetStock, SkuList,
};
use holdfast_contracts::control::{ControlMac, write_control_mac};
use holdfast_contracts::decision::{
    BodyWriter, Decision, DecisionBatch, Envelope, Event, FirstDecided, Granted, GrantedLines, HoldState,
    Moved, Outcome, Reason, SaleState, StockFigures, What, write_chain, write_digest, write_envelope,
};
use holdfast_contracts::{
    Chain, CustomerId, Digest, IntakeId, LogId, LogTime, Offset, OutSeq, RequestTag, ReservationId, SaleTerms,
};
use holdfast_contracts_reference::inventory as pb;

pub(crate) fn id16(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().expect("the model's ids have 16 bytes")
}

fn id(bytes: &[u8]) -> ReservationId {
    ReservationId(id16(bytes))
}

fn optional_id(bytes: &[u8]) -> Option<ReservationId> {
    if bytes.is_empty() { None } else { Some(id(bytes)) }
}

/// What a record of commands decoded to, as the reference would hold it.
pub(crate) fn command_batch(
    header: BatchHeader,
    skus: &[&str],
    commands: &[Command<'_>],
) -> pb::CommandBatch {
    pb::CommandBatch {
        intake_id: header.intake_id.0,
        first_request_tag: header.first_request_tag.0,
        skus: skus.iter().map(ToString::to_string).collect(),
        commands: commands.iter().map(|it| pb::Command { kind: Some(kind(it)) }).collect(),
        control_mac: header.control_mac.map_or_else(Vec::new, |mac| mac.0.into()),
    }
}

fn kind(command: &Command<'_>) -> pb::command::Kind {
    use pb::command::Kind;
    match *command {
        Command::Reserve(it) => Kind::Reserve(pb::Reserve {
            reservation_id: it.reservation_id.0.into(),
            customer: it.customer.0,
            lines: it.lines.iter().map(|line| pb::Line { sku: line.sku, quantity: line.quantity }).collect(),
            allow_partial: it.allow_partial,
            join_waitlist: it.join_waitlist,
        }),
        Command::BeginPayment { reservation_id, customer } => Kind::BeginPayment(pb::BeginPayment {
            reservation_id: reservation_id.0.into(),
            customer: customer.0,
        }),
        Command::Confirm { reservation_id, customer, reacquire } => Kind::Confirm(pb::Confirm {
            reservation_id: reservation_id.0.into(),
            customer: customer.0,
            reacquire,
        }),
        Command::Release { reservation_id, customer } => {
            Kind::Release(pb::Release { reservation_id: reservation_id.0.into(), customer: customer.0 })
        }
        Command::Extend { reservation_id, customer, by_ms, command_id } => Kind::Extend(pb::Extend {
            reservation_id: reservation_id.0.into(),
            customer: customer.0,
            by_ms,
            command_id: command_id.map_or_else(Vec::new, |id| id.0.into()),
        }),
        Command::SetStock(it) => Kind::SetStock(pb::SetStock {
            command_id: it.command_id.0.into(),
            sku: it.sku,
            on_hand: it.on_hand,
            expected: it.expected,
            force: it.force,
            reason: it.reason.into(),
            reference: it.reference.into(),
        }),
        Command::AdjustStock(it) => Kind::AdjustStock(pb::AdjustStock {
            command_id: it.command_id.0.into(),
            sku: it.sku,
            delta: it.delta,
            set_aside: it.set_aside,
            reason: it.reason.into(),
            reference: it.reference.into(),
        }),
        Command::DefineSale(it) => Kind::DefineSale(pb::DefineSale {
            command_id: it.command_id.0.into(),
            sale_id: it.sale_id.into(),
            terms: Some(terms(&it.terms)),
            skus: it.skus.iter().collect(),
        }),
        Command::OpenSale { sale_id } => Kind::OpenSale(pb::OpenSale { sale_id: sale_id.into() }),
        Command::PauseSale { sale_id, freeze_ttl } => {
            Kind::PauseSale(pb::PauseSale { sale_id: sale_id.into(), freeze_ttl })
        }
        Command::CloseSale { sale_id } => Kind::CloseSale(pb::CloseSale { sale_id: sale_id.into() }),
        Command::Tick { wall, log_id } => {
            Kind::Tick(pb::Tick { wall_ms: wall.0, log_id: log_id.map_or_else(Vec::new, |id| id.0.into()) })
        }
        Command::ActivateRules { version, dedupe_window_ms, work_per_record_max } => {
            Kind::ActivateRules(pb::ActivateRules { version, dedupe_window_ms, work_per_record_max })
        }
    }
}

fn terms(terms: &SaleTerms) -> pb::SaleTerms {
    pb::SaleTerms {
        hold_ttl_ms: terms.hold_ttl_ms,
        payment_window_ms: terms.payment_window_ms,
        units_per_customer_max: terms.units_per_customer_max,
        units_per_reservation_max: terms.units_per_reservation_max,
        extend_max: terms.extend_max,
        hold_total_max_ms: terms.hold_total_max_ms,
        offer_ttl_ms: terms.offer_ttl_ms,
        opens_at_ms: terms.opens_at.0,
        closes_at_ms: terms.closes_at.0,
        waitlist: terms.waitlist,
    }
}

/// Writes the model with our builder: the dictionary first, as the reference does, then the commands.
pub(crate) fn write_commands(model: &pb::CommandBatch) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(model.intake_id), RequestTag(model.first_request_tag));
    for sku in &model.skus {
        builder.sku(sku);
    }
    for command in &model.commands {
        push(&mut builder, command.kind.as_ref().expect("the model's commands have a kind"));
    }
    let mut record = builder.bytes().to_vec();
    if !model.control_mac.is_empty() {
        write_control_mac(&mut record, ControlMac(id16(&model.control_mac)));
    }
    record
}

fn push(builder: &mut BatchBuilder, kind: &pb::command::Kind) {
    use pb::command::Kind;
    let command = match kind {
        Kind::Reserve(it) => return push_reserve(builder, it),
        Kind::DefineSale(it) => return push_sale(builder, it),
        Kind::BeginPayment(it) => Command::BeginPayment {
            reservation_id: id(&it.reservation_id),
            customer: CustomerId(it.customer),
        },
        Kind::Confirm(it) => Command::Confirm {
            reservation_id: id(&it.reservation_id),
            customer: CustomerId(it.customer),
            reacquire: it.reacquire,
        },
        Kind::Release(it) => {
            Command::Release { reservation_id: id(&it.reservation_id), customer: CustomerId(it.customer) }
        }
        Kind::Extend(it) => Command::Extend {
            reservation_id: id(&it.reservation_id),
            customer: CustomerId(it.customer),
            by_ms: it.by_ms,
            command_id: optional_id(&it.command_id),
        },
        Kind::SetStock(it) => Command::SetStock(SetStock {
            command_id: id(&it.command_id),
            sku: it.sku,
            on_hand: it.on_hand,
            expected: it.expected,
            force: it.force,
            reason: &it.reason,
            reference: &it.reference,
        }),
        Kind::AdjustStock(it) => Command::AdjustStock(AdjustStock {
            command_id: id(&it.command_id),
            sku: it.sku,
            delta: it.delta,
            set_aside: it.set_aside,
            reason: &it.reason,
            reference: &it.reference,
        }),
        Kind::OpenSale(it) => Command::OpenSale { sale_id: &it.sale_id },
        Kind::PauseSale(it) => Command::PauseSale { sale_id: &it.sale_id, freeze_ttl: it.freeze_ttl },
        Kind::CloseSale(it) => Command::CloseSale { sale_id: &it.sale_id },
        Kind::Tick(it) => {
            Command::Tick { wall: LogTime(it.wall_ms), log_id: optional_id(&it.log_id).map(|id| LogId(id.0)) }
        }
        Kind::ActivateRules(it) => Command::ActivateRules {
            version: it.version,
            dedupe_window_ms: it.dedupe_window_ms,
            work_per_record_max: it.work_per_record_max,
        },
    };
    builder.push(&command);
}

fn push_reserve(builder: &mut BatchBuilder, it: &pb::Reserve) {
    let lines: Vec<_> = it.lines.iter().map(|line| Line { sku: line.sku, quantity: line.quantity }).collect();
    builder.push(&Command::Reserve(Reserve {
        reservation_id: id(&it.reservation_id),
        customer: CustomerId(it.customer),
        lines: Lines::of(&lines),
        allow_partial: it.allow_partial,
        join_waitlist: it.join_waitlist,
    }));
}

fn push_sale(builder: &mut BatchBuilder, it: &pb::DefineSale) {
    builder.push(&Command::DefineSale(DefineSale {
        command_id: id(&it.command_id),
        sale_id: &it.sale_id,
        terms: our_terms(it.terms.as_ref().expect("the model's sales have terms")),
        skus: SkuList::of(&it.skus),
    }));
}

fn our_terms(terms: &pb::SaleTerms) -> SaleTerms {
    SaleTerms {
        hold_ttl_ms: terms.hold_ttl_ms,
        payment_window_ms: terms.payment_window_ms,
        units_per_customer_max: terms.units_per_customer_max,
        units_per_reservation_max: terms.units_per_reservation_max,
        extend_max: terms.extend_max,
        hold_total_max_ms: terms.hold_total_max_ms,
        offer_ttl_ms: terms.offer_ttl_ms,
        opens_at: LogTime(terms.opens_at_ms),
        closes_at: LogTime(terms.closes_at_ms),
        waitlist: terms.waitlist,
    }
}

/// What a record of decisions decoded to, as the reference would hold it.
pub(crate) fn decision_batch(batch: &DecisionBatch<'_>) -> pb::DecisionBatch {
    pb::DecisionBatch {
        source_offset: batch.envelope.source_offset.0,
        out_seq: batch.envelope.out_seq.0,
        log_time_ms: batch.log_time.0,
        intake_id: batch.header.intake_id.0,
        first_request_tag: batch.header.first_request_tag.0,
        skus: batch.skus().map(str::to_owned).collect(),
        events: batch.events().map(event).collect(),
        decisions: batch.decisions().map(decision).collect(),
        malformed: batch.malformed.map(|code| pb::Malformed { code }),
        state_digest: batch.state_digest.map_or_else(Vec::new, |digest| digest.0.to_be_bytes().into()),
        chain: batch.chain.0.into(),
    }
}

fn granted(line: Granted) -> pb::Granted {
    pb::Granted { sku: line.sku, quantity: line.quantity, missing: line.missing }
}

fn granted_lines(lines: GrantedLines<'_>) -> Vec<pb::Granted> {
    assert_eq!(lines.len(), lines.iter().count());
    lines.iter().map(granted).collect()
}

fn decision(decision: Decision<'_>) -> pb::Decision {
    pb::Decision {
        id: decision.id.map_or_else(Vec::new, |id| id.0.into()),
        replay: decision.replay,
        outcome: decision.outcome.map(outcome),
    }
}

fn outcome(outcome: Outcome<'_>) -> pb::decision::Outcome {
    use pb::decision::Outcome as Model;
    match outcome {
        Outcome::Reserved { expires_after_ms, lines, first } => Model::Reserved(pb::Reserved {
            expires_after_ms,
            lines: granted_lines(lines),
            decided_ago_ms: first.ago_ms,
            decided_offset: first.offset,
            decided_index: first.index,
        }),
        Outcome::Waiting { line, first } => Model::Waiting(pb::Waiting {
            line: Some(granted(line)),
            decided_offset: first.offset,
            decided_index: first.index,
        }),
        Outcome::Refused { reason, sku, value } => Model::Refused(pb::Refused {
            reason: reason.code().cast_signed(),
            sku_plus_one: sku.map_or(0, |sku| sku + 1),
            value,
        }),
        Outcome::Moved { state, expires_after_ms, lines, unchanged, late } => Model::Moved(pb::Moved {
            state: state as i32,
            expires_after_ms,
            lines: granted_lines(lines),
            unchanged,
            late,
        }),
        Outcome::StockChanged { sku, figures, cancel_first } => Model::StockChanged(pb::StockChanged {
            sku,
            on_hand: figures.on_hand,
            available: figures.available,
            held: figures.held,
            committed: figures.committed,
            unavailable: figures.unavailable,
            shortfall: figures.shortfall,
            cancel_first: cancel_first.iter().map(|id| id.0.into()).collect(),
        }),
        Outcome::SaleChanged { state, unchanged } => {
            Model::SaleChanged(pb::SaleChanged { state: state as i32, unchanged })
        }
        Outcome::RulesActivated { version } => Model::RulesActivated(pb::RulesActivated { version }),
    }
}

fn event(event: Event<'_>) -> pb::Event {
    use pb::event::What as Model;
    let (id, what) = match event.what {
        What::Expired { id, lines, was_waiting } => {
            (id.0.into(), Model::Expired(pb::Expired { lines: granted_lines(lines), was_waiting }))
        }
        What::Offered { id, expires_after_ms, line } => {
            (id.0.into(), Model::Offered(pb::Offered { expires_after_ms, line: Some(granted(line)) }))
        }
        What::ClockSuspect { append_time_ms } => {
            (Vec::new(), Model::ClockSuspect(pb::ClockSuspect { append_time_ms }))
        }
        What::ClockTrusted { step_ms } => (Vec::new(), Model::ClockTrusted(pb::ClockTrusted { step_ms })),
    };
    pb::Event { cause: event.cause.map_or(0, |cause| cause + 1), id, what: Some(what) }
}

/// Writes the model with our writer, in the reference's order of fields.
pub(crate) fn write_decisions(model: &pb::DecisionBatch) -> Vec<u8> {
    let mut out = Vec::new();
    write_envelope(
        &mut out,
        Envelope { source_offset: Offset(model.source_offset), out_seq: OutSeq(model.out_seq) },
    );
    let mut writer = BodyWriter::new(&mut out);
    writer.header(LogTime(model.log_time_ms), IntakeId(model.intake_id), RequestTag(model.first_request_tag));
    for (index, sku) in (0..).zip(&model.skus) {
        assert_eq!(writer.sku(sku), index);
    }
    for event in &model.events {
        write_event(&mut writer, event);
    }
    for decision in &model.decisions {
        write_decision(&mut writer, decision);
    }
    if let Some(malformed) = &model.malformed {
        writer.malformed(malformed.code);
    }
    if !model.state_digest.is_empty() {
        write_digest(&mut out, Digest(u128::from_be_bytes(id16(&model.state_digest))));
    }
    write_chain(&mut out, Chain(id16(&model.chain)));
    out
}

fn our_granted(line: &pb::Granted) -> Granted {
    Granted { sku: line.sku, quantity: line.quantity, missing: line.missing }
}

fn our_lines(lines: &[pb::Granted]) -> Vec<Granted> {
    lines.iter().map(our_granted).collect()
}

fn write_event(writer: &mut BodyWriter<'_>, event: &pb::Event) {
    use pb::event::What as Model;
    let cause = event.cause.checked_sub(1);
    match event.what.as_ref().expect("the model's events say what") {
        Model::Expired(it) => writer.expired(cause, id(&event.id), &our_lines(&it.lines), it.was_waiting),
        Model::Offered(it) => {
            let line = our_granted(it.line.as_ref().expect("the model's offers have a line"));
            writer.offered(cause, id(&event.id), it.expires_after_ms, line);
        }
        Model::ClockSuspect(it) => writer.clock_suspect(cause, LogTime(it.append_time_ms)),
        Model::ClockTrusted(it) => writer.clock_trusted(cause, it.step_ms),
    }
}

fn write_decision(writer: &mut BodyWriter<'_>, decision: &pb::Decision) {
    use pb::decision::Outcome as Model;
    let Some(outcome) = &decision.outcome else { return writer.nothing() };
    let replay = decision.replay;
    let first = |ago_ms, offset, index| replay.then_some(FirstDecided { ago_ms, offset, index });
    match outcome {
        Model::Reserved(it) => {
            let first = first(it.decided_ago_ms, it.decided_offset, it.decided_index);
            writer.reserved(id(&decision.id), it.expires_after_ms, &our_lines(&it.lines), first);
        }
        Model::Waiting(it) => {
            let line = our_granted(it.line.as_ref().expect("the model's waits have a line"));
            writer.waiting(id(&decision.id), line, first(0, it.decided_offset, it.decided_index));
        }
        Model::Refused(it) => {
            let reason = Reason::from_code(it.reason.cast_unsigned()).expect("the model's reasons are known");
            writer.refused(
                optional_id(&decision.id),
                replay,
                reason,
                it.sku_plus_one.checked_sub(1),
                it.value,
            );
        }
        Model::Moved(it) => {
            let state = HoldState::from_code(it.state.cast_unsigned()).expect("the model's states are known");
            let moved = Moved {
                state,
                expires_after_ms: it.expires_after_ms,
                unchanged: it.unchanged,
                late: it.late,
                replay,
            };
            writer.moved(id(&decision.id), moved, &our_lines(&it.lines));
        }
        Model::StockChanged(it) => {
            let figures = StockFigures {
                on_hand: it.on_hand,
                available: it.available,
                held: it.held,
                committed: it.committed,
                unavailable: it.unavailable,
                shortfall: it.shortfall,
            };
            let cancel_first: Vec<_> = it.cancel_first.iter().map(|bytes| id(bytes)).collect();
            writer.stock_changed(id(&decision.id), replay, it.sku, figures, &cancel_first);
        }
        Model::SaleChanged(it) => {
            let state = SaleState::from_code(it.state.cast_unsigned()).expect("the model's states are known");
            writer.sale_changed(optional_id(&decision.id), replay, state, it.unchanged);
        }
        Model::RulesActivated(it) => writer.rules_activated(it.version),
    }
}
