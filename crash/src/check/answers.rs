//! What clients were told, held against the topics; and what nobody was told, resolved from them.

use std::collections::{HashMap, HashSet};

use holdfast_contracts::ReservationId;
use holdfast_contracts::decision::{Reason, SaleState};

use super::facts::{Commanded, Fact, Facts};
use super::ids::{Deriver, partition_of};
use super::said::Said;
use super::verdict::{Findings, Promise};
use crate::evidence::{Answer, Ask, Evidence, Operation, Outcome, Place};

/// A command as a client asked for it: the id it carries and its content.
type Asked = (Option<ReservationId>, Commanded);

pub(super) fn check(evidence: &Evidence, facts: &Facts, findings: &mut Findings) {
    let settings = &evidence.settings;
    let Some(deriver) = Deriver::new(&settings.id_key, settings.partitions) else {
        findings.unmet("the settings have no id key: requests cannot be told from each other");
        return;
    };
    let all: Vec<Option<Asked>> =
        evidence.operations.iter().map(|it| asked(&it.invoke.ask, &deriver)).collect();
    for (operation, asked) in evidence.operations.iter().zip(&all) {
        if let (Outcome::Ok(answer), Some(asked)) = (&operation.outcome, asked) {
            Check { operation, answer, facts, findings, partitions: settings.partitions }.acknowledged(asked);
        }
    }
    nothing_else(evidence, &all, facts, findings);
}

/// The command that a request may bring into the log.
fn asked(ask: &Ask, deriver: &Deriver) -> Option<Asked> {
    let customer = |subject: &str| deriver.customer(subject).0;
    let parsed = |id: &str| id.parse::<ReservationId>().ok();
    let own = deriver.id_of(ask);
    Some(match ask {
        Ask::Reserve { subject, lines, .. } => {
            let lines = lines.iter().map(|it| (it.sku.clone(), it.quantity)).collect();
            (own, Commanded::Reserve { customer: customer(subject), lines })
        }
        Ask::Confirm { subject, reservation_id } => {
            (parsed(reservation_id), Commanded::Confirm { customer: customer(subject) })
        }
        Ask::Release { subject, reservation_id } => {
            (parsed(reservation_id), Commanded::Release { customer: customer(subject) })
        }
        Ask::Extend { subject, reservation_id, by_ms, .. } => {
            let about = parsed(reservation_id)?;
            (own, Commanded::Extend { customer: customer(subject), about, by_ms: *by_ms })
        }
        Ask::SetStock { sku, on_hand, .. } => {
            (own, Commanded::SetStock { sku: sku.clone(), on_hand: *on_hand })
        }
        Ask::AdjustStock { sku, delta, set_aside, .. } => {
            (own, Commanded::AdjustStock { sku: sku.clone(), delta: *delta, set_aside: *set_aside })
        }
        Ask::DefineSale { sale_id, .. } => (own, Commanded::DefineSale { sale_id: sale_id.clone() }),
        Ask::OpenSale { sale_id } => (None, Commanded::OpenSale { sale_id: sale_id.clone() }),
        Ask::Availability { .. } => return None,
    })
}

/// Every command in the log was sent by somebody who was not told that it failed.
fn nothing_else(evidence: &Evidence, all: &[Option<Asked>], facts: &Facts, findings: &mut Findings) {
    let sent: HashSet<&Asked> = all.iter().flatten().collect();
    // A request counts as failed when every attempt was told so; a gate's refusal writes nothing either.
    let mut failed: HashMap<&Asked, bool> = HashMap::new();
    for (operation, asked) in evidence.operations.iter().zip(all) {
        if let Some(command) = asked {
            *failed.entry(command).or_insert(true) &= matches!(operation.outcome, Outcome::Fail(_));
        }
    }
    let mut present: HashSet<Asked> = HashSet::new();
    for (place, fact) in &facts.commands {
        // The service ticks by itself, and says which rules it knows.
        if matches!(fact.commanded, Commanded::Other("tick" | "activate rules")) {
            continue;
        }
        let command = (fact.id, fact.commanded.clone());
        let ids: Vec<String> = fact.id.iter().map(ToString::to_string).collect();
        if !sent.contains(&command) {
            let what = format!("a command that no client sent: {:?}", fact.commanded);
            findings.broken(Promise::S4, Some(*place), &ids, what);
        } else if failed.get(&command).copied().unwrap_or(false) {
            let what = format!(
                "a command of which every attempt was told that nothing was done: {:?}",
                fact.commanded
            );
            findings.broken(Promise::S4, Some(*place), &ids, what);
        }
        present.insert(command);
    }
    // What an answered attempt stands for must be there, wherever it says it is.
    for (operation, asked) in evidence.operations.iter().zip(all) {
        let acknowledged = matches!(operation.outcome, Outcome::Ok(_)) && !is_conflict(operation);
        if let Some(missing) = asked.as_ref().filter(|it| acknowledged && !present.contains(*it)) {
            let ids: Vec<String> = missing.0.iter().map(ToString::to_string).collect();
            let what = format!(
                "operation {} was answered, but its command is in no record: {:?}",
                operation.invoke.op, missing.1
            );
            findings.broken(Promise::S4, None, &ids, what);
        }
    }
}

/// A conflict may be found without writing anything.
fn is_conflict(operation: &Operation) -> bool {
    matches!(&operation.outcome, Outcome::Ok(answer) if answer.code.as_deref() == Some("IDEMPOTENCY_CONFLICT"))
}

struct Check<'a> {
    operation: &'a Operation,
    answer: &'a Answer,
    facts: &'a Facts,
    findings: &'a mut Findings,
    partitions: u32,
}

impl Check<'_> {
    fn broken(&mut self, id: Option<ReservationId>, place: Option<Place>, what: &str) {
        let ids: Vec<String> = id.iter().map(ToString::to_string).collect();
        let what = format!("operation {} was answered {}: {what}", self.operation.invoke.op, self.told());
        self.findings.broken(Promise::S4, place, &ids, what);
    }

    fn told(&self) -> String {
        let it = self.answer;
        let word = it.code.as_deref().or(it.state.as_deref()).unwrap_or("");
        format!("{} {word}", it.status.unwrap_or(0))
    }

    /// An answered request: the command and the decision are where the answer says.
    fn acknowledged(&mut self, asked: &Asked) {
        match &self.operation.invoke.ask {
            Ask::Availability { .. } => {}
            Ask::DefineSale { .. } | Ask::OpenSale { .. } => self.sale(asked),
            Ask::SetStock { .. } | Ask::AdjustStock { .. } => self.stock(asked),
            Ask::Reserve { .. } | Ask::Confirm { .. } | Ask::Release { .. } | Ask::Extend { .. } => {
                self.reservation(asked);
            }
        }
    }

    fn reservation(&mut self, (id, commanded): &Asked) {
        let id = *id;
        let about = match commanded {
            Commanded::Extend { about, .. } => Some(*about),
            _ => id,
        };
        if let Some(told) = &self.answer.reservation_id
            && Some(told.as_str()) != about.map(|it| it.to_string()).as_deref()
        {
            self.broken(about, None, "the answer names another reservation");
        }
        let Some(place) = self.answer.position else {
            if !is_conflict(self.operation) {
                self.broken(id, None, "the answer does not say where it was decided");
            }
            return;
        };
        let Some(fact) = self.facts.commands.get(&place) else {
            self.broken(id, Some(place), "there is no command in the commands topic where the answer says");
            return;
        };
        let conflict = is_conflict(self.operation);
        if fact.id != id || (!conflict && fact.commanded != *commanded) {
            let what = format!("where the answer says there is another command: {:?}", fact.commanded);
            self.broken(id, Some(place), &what);
            return;
        }
        self.content(fact, id, place);
    }

    /// The decision says what the client was told.
    fn content(&mut self, fact: &Fact, id: Option<ReservationId>, place: Place) {
        let Some(spoken) = &fact.spoken else {
            self.broken(id, Some(place), "its decision is not in the decisions topic");
            return;
        };
        let told = self.answer;
        let status = told.status.unwrap_or(0);
        let same = match &spoken.said {
            Said::Reserved { lines, .. } => {
                let fits = lines.len() == told.lines.len()
                    && lines
                        .iter()
                        .zip(&told.lines)
                        .all(|(a, b)| (&a.sku, a.quantity, a.granted) == (&b.sku, b.quantity, b.granted));
                // A repeated grant names the place of the first one.
                fits && matches!(status, 200 | 201) && told.state.as_deref() == Some("held") && !spoken.replay
            }
            Said::Moved { state, lines, .. } => {
                let fits = lines.len() == told.lines.len()
                    && lines.iter().zip(&told.lines).all(|(a, b)| (&a.sku, a.granted) == (&b.sku, b.granted));
                fits && status == 200 && told.state.as_deref() == Some(state.name())
            }
            Said::Refused { reason, .. } => {
                told.code.as_deref() == Some(code(*reason)) && told.replay == spoken.replay
            }
            _ => false,
        };
        if !same {
            let what = format!("the decisions topic says {:?}", spoken.said);
            self.broken(id, Some(place), &what);
        }
    }

    fn decided(&self, asked: &Asked) -> Vec<Place> {
        match asked.0 {
            Some(id) => self.facts.places.get(&id).cloned().unwrap_or_default(),
            None => {
                let same = |(place, fact): (&Place, &Fact)| (fact.commanded == asked.1).then_some(*place);
                self.facts.commands.iter().filter_map(same).collect()
            }
        }
    }

    fn stock(&mut self, asked: &Asked) {
        let places = self.decided(asked);
        let told = self.answer;
        let says = |place: &Place| match self.facts.commands[place].spoken.as_ref().map(|it| &it.said) {
            Some(Said::Stock { figures, .. }) => told.figures == Some(*figures),
            Some(Said::Refused { reason, .. }) => told.code.as_deref() == Some(code(*reason)),
            _ => false,
        };
        if !places.iter().any(says) {
            self.broken(asked.0, places.first().copied(), "no decision in the decisions topic says so");
        }
    }

    fn sale(&mut self, asked: &Asked) {
        // Told to every partition that was judged, and to each the same.
        let partitions = self.facts.followed.len();
        let state = self.answer.state.clone();
        let fits = |place: &Place| match self.facts.commands[place].spoken.as_ref().map(|it| &it.said) {
            Some(Said::Sale { state: said, .. }) => state.as_deref() == Some(sale_state(*said)),
            Some(Said::Refused { reason, .. }) => self.answer.code.as_deref() == Some(code(*reason)),
            _ => false,
        };
        let answered: HashSet<u32> =
            self.decided(asked).iter().filter(|it| fits(it)).map(|it| it.partition).collect();
        let refused = self.answer.code.is_some();
        if answered.is_empty()
            || (!refused && partitions == self.partitions as usize && answered.len() < partitions)
        {
            self.broken(asked.0, None, "not every partition's decisions say so");
        }
    }
}

const fn sale_state(state: SaleState) -> &'static str {
    state.name()
}

/// The code under which clients are told a reason.
const fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid => "INVALID_REQUEST",
        Reason::UnknownSku => "UNKNOWN_SKU",
        Reason::SaleNotOpen => "SALE_NOT_OPEN",
        Reason::SalePaused => "SALE_PAUSED",
        Reason::SaleClosed => "SALE_CLOSED",
        Reason::DifferentSales => "DIFFERENT_SALES",
        Reason::PurchaseLimit => "PURCHASE_LIMIT",
        Reason::InsufficientStock => "INSUFFICIENT_STOCK",
        Reason::IdReused => "IDEMPOTENCY_CONFLICT",
        Reason::UnknownReservation => "UNKNOWN_RESERVATION",
        Reason::NotOwner => "NOT_OWNER",
        Reason::Expired => "EXPIRED",
        Reason::Released => "RELEASED",
        Reason::AlreadyConfirmed => "ALREADY_CONFIRMED",
        Reason::StillWaiting => "STILL_WAITING",
        Reason::ExtendLimit => "EXTEND_LIMIT",
        Reason::StockChanged => "STOCK_CHANGED",
        Reason::StockBelowPromised => "STOCK_BELOW_PROMISED",
        Reason::UnknownSale => "UNKNOWN_SALE",
        Reason::SkuInOtherSale => "SKU_IN_OTHER_SALE",
        Reason::SkuInUse => "SKU_IN_USE",
        Reason::SaleState => "SALE_STATE",
        Reason::Full => "MEMORY_FULL",
        Reason::UnauthenticatedControl => "UNAUTHENTICATED_CONTROL",
    }
}

/// The partition in which a request is decided, if it is one.
pub(super) fn partition_asked(ask: &Ask, partitions: u32) -> Option<u32> {
    match ask {
        Ask::Reserve { lines, .. } => lines.first().map(|line| partition_of(&line.sku, partitions)),
        Ask::SetStock { sku, .. } | Ask::AdjustStock { sku, .. } | Ask::Availability { sku } => {
            Some(partition_of(sku, partitions))
        }
        Ask::Confirm { reservation_id, .. }
        | Ask::Release { reservation_id, .. }
        | Ask::Extend { reservation_id, .. } => {
            let id: ReservationId = reservation_id.parse().ok()?;
            Some(u32::from(u16::from_be_bytes([id.0[0], id.0[1]])))
        }
        Ask::DefineSale { .. } | Ask::OpenSale { .. } => None,
    }
}
