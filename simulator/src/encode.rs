//! Writes an answer as the body of a decision record, so that the model itself can stand where a machine stands.

use holdfast_contracts::decision::{BodyWriter, Granted, Moved};
use holdfast_contracts::{IntakeId, LogTime, RequestTag};

use crate::answer::{Decision, Event, Expected, Line, Outcome, Sku, What};

/// Appends the body to a record that has its envelope.
pub fn write_body(expected: &Expected, out: &mut Vec<u8>) {
    let mut body = Body { writer: BodyWriter::new(out), skus: Vec::new() };
    body.writer.header(
        LogTime(expected.log_time_ms),
        IntakeId(expected.intake_id),
        RequestTag(expected.first_request_tag),
    );
    if let Some(code) = expected.malformed {
        body.writer.malformed(code);
    }
    for event in &expected.events {
        body.event(event);
    }
    for decision in &expected.decisions {
        body.decision(decision);
    }
}

struct Body<'o> {
    writer: BodyWriter<'o>,
    skus: Vec<Sku>,
}

impl Body<'_> {
    fn sku(&mut self, sku: &Sku) -> u32 {
        if let Some(index) = (0..).zip(&self.skus).find(|(_, known)| *known == sku).map(|(index, _)| index) {
            return index;
        }
        self.skus.push(Sku::clone(sku));
        self.writer.sku(sku)
    }

    fn line(&mut self, line: &Line) -> Granted {
        Granted { sku: self.sku(&line.sku), quantity: line.quantity, missing: line.missing }
    }

    fn lines(&mut self, lines: &[Line]) -> Vec<Granted> {
        lines.iter().map(|line| self.line(line)).collect()
    }

    fn event(&mut self, event: &Event) {
        match &event.what {
            What::Expired { id, lines, was_waiting } => {
                let lines = self.lines(lines);
                self.writer.expired(event.cause, *id, &lines, *was_waiting);
            }
            What::Offered { id, expires_after_ms, line } => {
                let line = self.line(line);
                self.writer.offered(event.cause, *id, *expires_after_ms, line);
            }
            What::ClockSuspect { append_time_ms } => {
                self.writer.clock_suspect(event.cause, LogTime(*append_time_ms));
            }
            What::ClockTrusted { step_ms } => self.writer.clock_trusted(event.cause, *step_ms),
        }
    }

    fn decision(&mut self, decision: &Decision) {
        let replay = decision.replay;
        let Some(outcome) = &decision.outcome else {
            self.writer.nothing();
            return;
        };
        let id = || decision.id.expect("this kind of answer names what it is about");
        match outcome {
            Outcome::Reserved { expires_after_ms, lines, first } => {
                let lines = self.lines(lines);
                self.writer.reserved(id(), *expires_after_ms, &lines, replay.then_some(*first));
            }
            Outcome::Waiting { line, first } => {
                let line = self.line(line);
                self.writer.waiting(id(), line, replay.then_some(*first));
            }
            Outcome::Refused(refusal) => {
                let sku = refusal.sku.as_ref().map(|sku| self.sku(sku));
                self.writer.refused(decision.id, replay, refusal.reason, sku, refusal.value);
            }
            Outcome::Moved { state, expires_after_ms, lines, unchanged, late } => {
                let lines = self.lines(lines);
                let moved = Moved {
                    state: *state,
                    expires_after_ms: *expires_after_ms,
                    unchanged: *unchanged,
                    late: *late,
                    replay,
                };
                self.writer.moved(id(), moved, &lines);
            }
            Outcome::StockChanged { sku, figures, cancel_first } => {
                let sku = self.sku(sku);
                self.writer.stock_changed(id(), replay, sku, *figures, cancel_first);
            }
            Outcome::SaleChanged { state, unchanged } => {
                self.writer.sale_changed(decision.id, replay, *state, *unchanged);
            }
            Outcome::RulesActivated { version } => self.writer.rules_activated(*version),
        }
    }
}
