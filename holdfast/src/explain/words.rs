//! Commands, decisions and rules in words.

use std::time::{Duration, UNIX_EPOCH};

use holdfast_contracts::command::{Command, Reserve};
use holdfast_contracts::decision::{Decision, Granted, GrantedLines, Outcome, Reason, What};
use holdfast_contracts::{CustomerId, ReservationId};

use super::Seen;
use crate::output::upper_snake;

/// A log time, readable.
pub(super) fn time(ms: u64) -> String {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(ms))
        .map_or_else(|| ms.to_string(), |time| humantime::format_rfc3339_millis(time).to_string())
}

/// The name of a reason, as the API writes codes.
pub(super) fn reason_code(reason: Reason) -> String {
    upper_snake(&format!("{reason:?}"))
}

/// The ids a command is about, its own first.
pub(super) fn ids(command: &Command<'_>) -> impl Iterator<Item = ReservationId> + use<> {
    let (first, second) = match command {
        Command::Reserve(it) => (Some(it.reservation_id), None),
        Command::BeginPayment { reservation_id, .. }
        | Command::Confirm { reservation_id, .. }
        | Command::Release { reservation_id, .. } => (Some(*reservation_id), None),
        Command::Extend { reservation_id, command_id, .. } => (Some(*reservation_id), *command_id),
        Command::SetStock(it) => (Some(it.command_id), None),
        Command::AdjustStock(it) => (Some(it.command_id), None),
        Command::DefineSale(it) => (Some(it.command_id), None),
        Command::OpenSale { .. }
        | Command::PauseSale { .. }
        | Command::CloseSale { .. }
        | Command::Tick { .. }
        | Command::ActivateRules { .. } => (None, None),
    };
    first.into_iter().chain(second)
}

/// Who asks, if a buyer does.
pub(super) fn customer(command: &Command<'_>) -> Option<CustomerId> {
    let customer = match command {
        Command::Reserve(it) => it.customer,
        Command::BeginPayment { customer, .. }
        | Command::Confirm { customer, .. }
        | Command::Release { customer, .. }
        | Command::Extend { customer, .. } => *customer,
        _ => return None,
    };
    (customer.0 != 0).then_some(customer)
}

/// Dictionary indexes a command names, with the units it wants of each.
pub(super) fn units_by_sku(command: &Command<'_>) -> Vec<(u32, u64)> {
    match command {
        Command::Reserve(it) => it.lines.iter().map(|line| (line.sku, u64::from(line.quantity))).collect(),
        Command::SetStock(it) => vec![(it.sku, it.on_hand)],
        Command::AdjustStock(it) => vec![(it.sku, 0)],
        Command::DefineSale(it) => it.skus.iter().map(|sku| (sku, 0)).collect(),
        _ => Vec::new(),
    }
}

/// A command in words.
pub(super) fn asked(command: &Command<'_>, names: &[&str]) -> String {
    let name = |index: u32| names.get(index as usize).copied().unwrap_or("?");
    match command {
        Command::Reserve(it) => reserve(it, &name),
        Command::BeginPayment { customer, .. } => format!("begin payment{}", by(*customer)),
        Command::Confirm { customer, reacquire, .. } => {
            format!("confirm{}{}", if *reacquire { ", reacquire if ended" } else { "" }, by(*customer))
        }
        Command::Release { customer, .. } => format!("release{}", by(*customer)),
        Command::Extend { customer, by_ms, .. } => format!("extend by {by_ms} ms{}", by(*customer)),
        Command::SetStock(it) => format!("set stock of {} to {}: {}", name(it.sku), it.on_hand, it.reason),
        Command::AdjustStock(it) => format!(
            "adjust stock of {} by {:+}, set aside {:+}: {}",
            name(it.sku),
            it.delta,
            it.set_aside,
            it.reason
        ),
        Command::DefineSale(it) => {
            format!("define sale {} of {} SKUs", it.sale_id, it.skus.iter().count())
        }
        other => format!("{other:?}"),
    }
}

fn reserve<'n>(it: &Reserve<'_>, name: &impl Fn(u32) -> &'n str) -> String {
    let lines: Vec<_> =
        it.lines.iter().map(|line| format!("{} x {}", line.quantity, name(line.sku))).collect();
    let mut text = format!("reserve {}", lines.join(" + "));
    if it.allow_partial {
        text.push_str(", partial allowed");
    }
    if it.join_waitlist {
        text.push_str(", or stand in line");
    }
    text + &by(it.customer)
}

fn by(customer: CustomerId) -> String {
    if customer.0 == 0 { " by the system".to_owned() } else { format!(" by customer {customer}") }
}

/// What was decided: its code, and in words.
pub(super) fn answer(decision: &Decision<'_>, skus: &[&str]) -> (String, String) {
    let name = |index: u32| skus.get(index as usize).copied().unwrap_or("?");
    let Some(outcome) = &decision.outcome else { return ("NOTHING".to_owned(), "nothing to say".to_owned()) };
    let (code, words) = match outcome {
        Outcome::Reserved { expires_after_ms, lines, .. } => {
            ("RESERVED", format!("granted {}, for {expires_after_ms} ms", granted(lines, skus)))
        }
        Outcome::Waiting { line, .. } => {
            ("WAITING", format!("stands in line for {} x {}", line.quantity, name(line.sku)))
        }
        Outcome::Refused { reason, sku, value } => {
            let blame = sku.map(|sku| format!(" because of {}", name(sku))).unwrap_or_default();
            return (reason_code(*reason), format!("refused{blame}{}", meaning(*reason, *value)));
        }
        Outcome::Moved { state, expires_after_ms, unchanged, late, .. } => {
            let mut words = state.name().to_owned();
            if *unchanged {
                words.push_str(", as before");
            }
            if *late {
                words.push_str(", late");
            }
            if *expires_after_ms > 0 {
                words.push_str(&format!(", {expires_after_ms} ms left"));
            }
            ("MOVED", words)
        }
        Outcome::StockChanged { sku, figures, cancel_first } => (
            "STOCK_CHANGED",
            format!(
                "{}: {} on hand, {} available, {} held, {} committed, {} unavailable, shortfall {}, {} to cancel",
                name(*sku),
                figures.on_hand,
                figures.available,
                figures.held,
                figures.committed,
                figures.unavailable,
                figures.shortfall,
                cancel_first.len()
            ),
        ),
        Outcome::SaleChanged { state, unchanged } => {
            ("SALE_CHANGED", format!("{}{}", state.name(), if *unchanged { ", as before" } else { "" }))
        }
        Outcome::RulesActivated { version } => ("RULES_ACTIVATED", format!("rules {version}")),
    };
    (code.to_owned(), words)
}

fn granted(lines: &GrantedLines<'_>, skus: &[&str]) -> String {
    let line = |it: Granted| {
        let name = skus.get(it.sku as usize).copied().unwrap_or("?");
        format!("{} of {} {name}", it.granted(), it.quantity)
    };
    lines.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// What the value of a refusal says.
fn meaning(reason: Reason, value: u64) -> String {
    match reason {
        Reason::PurchaseLimit => format!("; {value} more allowed"),
        Reason::InsufficientStock => format!("; {value} to be had"),
        Reason::ExtendLimit => format!("; {value} ms more allowed"),
        Reason::StockChanged => format!("; {value} on hand"),
        Reason::StockBelowPromised => format!("; {value} could be taken away"),
        _ => String::new(),
    }
}

/// What an event is: its code, and in words.
pub(super) fn event(what: &What<'_>, skus: &[&str]) -> (String, String) {
    match what {
        What::Expired { lines, was_waiting, .. } if *was_waiting => {
            ("EXPIRED".to_owned(), format!("left the line for {}", granted(lines, skus)))
        }
        What::Expired { lines, .. } => {
            ("EXPIRED".to_owned(), format!("the deadline ended it; {} came back", granted(lines, skus)))
        }
        What::Offered { expires_after_ms, line, .. } => {
            let name = skus.get(line.sku as usize).copied().unwrap_or("?");
            (
                "OFFERED".to_owned(),
                format!("{} x {name} came back for it, for {expires_after_ms} ms", line.granted()),
            )
        }
        other => ("EVENT".to_owned(), format!("{other:?}")),
    }
}

/// The rule that gave an event.
pub(super) fn event_rule(what: &What<'_>) -> String {
    let rule = match what {
        What::Expired { was_waiting: true, .. } => {
            "rules §5.1: a place in line ends with its sale or deadline"
        }
        What::Expired { .. } => "rules §5.1: log time reached the deadline",
        What::Offered { .. } => "rules §5.3: units came back and it was first in line",
        _ => "rules §2",
    };
    rule.to_owned()
}

/// The rule that gave a decision, with the figures it looked at.
pub(super) fn rule(command: &Command<'_>, decision: &Decision<'_>, seen: Option<&Seen>) -> String {
    if decision.replay {
        return "rules §3.1: the id is known with the same content, so the first answer stands".to_owned();
    }
    let reason = match &decision.outcome {
        Some(Outcome::Refused { reason, .. }) => Some(*reason),
        _ => None,
    };
    let rule = match (command, reason) {
        (_, Some(Reason::UnauthenticatedControl)) => {
            "rules §1.1: the record has no valid authentication code"
        }
        (Command::Reserve(_), reason) => return reserve_rule(reason, decision, seen),
        (Command::Extend { .. }, _) => "rules §4, extend",
        (Command::SetStock(_), _) => "rules §6, set stock",
        (Command::AdjustStock(_), _) => "rules §6, adjust stock",
        (Command::DefineSale(_), _) => "rules §6, define a sale",
        (_, Some(Reason::NotOwner)) => "rules §4: it is somebody else's",
        (_, Some(Reason::UnknownReservation)) => "rules §4: no such reservation is remembered",
        (_, Some(Reason::Expired)) => "rules §4: the deadline had passed",
        (_, _) => "rules §4, the table of states",
    };
    rule.to_owned()
}

fn reserve_rule(reason: Option<Reason>, decision: &Decision<'_>, seen: Option<&Seen>) -> String {
    let figures = |of: &dyn Fn(&super::seen::StockSeen) -> String| {
        let lines: Vec<_> = seen.iter().flat_map(|it| &it.stock).map(of).collect();
        if lines.is_empty() { String::new() } else { format!(" ({})", lines.join("; ")) }
    };
    match reason {
        None if matches!(decision.outcome, Some(Outcome::Waiting { .. })) => {
            "rules §3.6 and §5.3: too few, and the sale lets people stand in line".to_owned()
        }
        None => format!(
            "rules §3: every check passed{}",
            figures(&|it| format!("{}: {} offered, {} asked", it.sku, it.offered, it.asked))
        ),
        Some(Reason::IdReused) => "rules §3.1: the id is known with other content".to_owned(),
        Some(Reason::Invalid) => "rules §3.2: the request breaks a rule whatever the state is".to_owned(),
        Some(Reason::UnknownSku) => "rules §3.3: nobody made the SKU known".to_owned(),
        Some(Reason::SaleNotOpen | Reason::SalePaused | Reason::SaleClosed | Reason::DifferentSales) => {
            format!(
                "rules §3.4: the sale{}",
                figures(&|it| {
                    let state = it.sale_refusal.as_ref().or(it.sale_state.as_ref());
                    let (sale, state) = (it.sale.as_deref(), state.map(String::as_str));
                    format!("{}: {}, {}", it.sku, sale.unwrap_or("in no sale"), state.unwrap_or("not open"))
                })
            )
        }
        Some(Reason::PurchaseLimit) => format!(
            "rules §3.5: the limit{}",
            figures(&|it| {
                let (has, most) = (it.customer_units.unwrap_or(0), it.customer_units_max.unwrap_or(0));
                format!("{}: has {has}, asked {}, at most {most}", it.sku, it.asked)
            })
        ),
        Some(Reason::InsufficientStock) => format!(
            "rules §3.6: stock{}",
            figures(&|it| format!("{}: {} offered, {} asked", it.sku, it.offered, it.asked))
        ),
        Some(Reason::Full) => "rules §3: the machine's memory limits are reached".to_owned(),
        Some(other) => format!("rules §3: {}", reason_code(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_named_as_in_the_api() {
        assert_eq!(reason_code(Reason::InsufficientStock), "INSUFFICIENT_STOCK");
        assert_eq!(reason_code(Reason::IdReused), "ID_REUSED");
        assert_eq!(reason_code(Reason::Full), "FULL");
    }

    #[test]
    fn a_time_is_readable() {
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
