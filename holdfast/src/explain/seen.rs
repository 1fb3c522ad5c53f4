//! What the machine saw just before it decided a command.

use holdfast_contracts::CustomerId;
use holdfast_contracts::command::Command;
use holdfast_core::Machine;
use serde::Serialize;

use super::words;
use crate::output::Table;

/// The state a command met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) log_time_ms: u64,
    /// Log time stood still.
    pub(crate) clock_suspect: bool,
    pub(crate) rules_version: u32,
    /// What was remembered of the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known_as: Option<String>,
    /// The SKUs the command names, in its order.
    pub(crate) stock: Vec<StockSeen>,
}

/// A SKU as a command met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StockSeen {
    pub(crate) sku: String,
    /// Units asked for, summed over the command's lines.
    pub(crate) asked: u64,
    /// Whether anybody had made it known.
    pub(crate) known: bool,
    pub(crate) on_hand: u64,
    pub(crate) available: u64,
    pub(crate) held: u64,
    pub(crate) committed: u64,
    pub(crate) unavailable: u64,
    pub(crate) shortfall: u64,
    /// What the public could take.
    pub(crate) offered: u64,
    /// Reservations standing in line.
    pub(crate) waiting: u64,
    /// Its sale, and the state of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sale_state: Option<String>,
    /// Why nothing could be reserved in the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sale_refusal: Option<String>,
    /// Units that counted toward the customer's limit, and the limit; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_units: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_units_max: Option<u32>,
}

impl Seen {
    pub(super) fn of(machine: &Machine, command: &Command<'_>, names: &[&str]) -> Self {
        let mut wanted: Vec<(&str, u64)> = Vec::new();
        for (index, units) in words::units_by_sku(command) {
            let name = names.get(index as usize).copied().unwrap_or_default();
            match wanted.iter_mut().find(|(sku, _)| *sku == name) {
                Some((_, sum)) => *sum += units,
                None => wanted.push((name, units)),
            }
        }
        let customer = words::customer(command);
        let known = words::ids(command).next().and_then(|id| machine.view_id(id));
        Self {
            log_time_ms: machine.now().0,
            clock_suspect: machine.clock_is_suspect(),
            rules_version: machine.rules_version(),
            known_as: known.map(|view| super::Now::of(&view, 0).state),
            stock: wanted.into_iter().map(|(sku, asked)| stock(machine, sku, asked, customer)).collect(),
        }
    }

    pub(super) fn table(&self) -> Table {
        let title = format!(
            "Seen at {} under rules {}{}{}",
            words::time(self.log_time_ms),
            self.rules_version,
            if self.clock_suspect { ", clock suspect" } else { "" },
            self.known_as.as_ref().map(|it| format!(", id known: {it}")).unwrap_or_default(),
        );
        let mut table = Table::titled(
            title,
            &[
                "sku",
                "asked",
                "offered",
                "available",
                "held",
                "committed",
                "on hand",
                "in line",
                "sale",
                "customer has",
            ],
        );
        for it in &self.stock {
            let sale = it.sale.as_ref().map(|sale| {
                let state = it.sale_refusal.as_ref().or(it.sale_state.as_ref());
                format!("{sale}: {}", state.map_or("", String::as_str))
            });
            let has = it.customer_units.map(|units| match it.customer_units_max {
                Some(0) | None => units.to_string(),
                Some(most) => format!("{units} of at most {most}"),
            });
            let numbers = [it.asked, it.offered, it.available, it.held, it.committed, it.on_hand, it.waiting];
            table.row(
                std::iter::once(it.sku.clone())
                    .chain(numbers.iter().map(u64::to_string))
                    .chain([sale.unwrap_or_default(), has.unwrap_or_default()]),
            );
        }
        table
    }
}

fn stock(machine: &Machine, sku: &str, asked: u64, customer: Option<CustomerId>) -> StockSeen {
    let view = machine.view_sku(sku);
    let sale = view.as_ref().and_then(|it| it.sale.as_ref()).and_then(|id| machine.view_sale(id));
    let figures = view.as_ref().map(|it| it.figures).unwrap_or_default();
    StockSeen {
        sku: sku.to_owned(),
        asked,
        known: view.is_some(),
        on_hand: figures.on_hand,
        available: figures.available,
        held: figures.held,
        committed: figures.committed,
        unavailable: figures.unavailable,
        shortfall: figures.shortfall,
        offered: view.as_ref().map_or(0, |it| it.offered),
        waiting: view.as_ref().map_or(0, |it| it.waiting as u64),
        sale_state: sale.as_ref().map(|it| it.state.name().to_owned()),
        sale_refusal: sale.as_ref().and_then(|it| it.refusal).map(words::reason_code),
        customer_units: customer.and_then(|customer| machine.view_customer_units(sku, customer)),
        customer_units_max: sale.as_ref().map(|it| it.terms.units_per_customer_max),
        sale: sale.map(|it| it.id),
    }
}
