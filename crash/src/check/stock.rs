//! Stock and sales.

use std::collections::BTreeSet;

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::{AdjustStock, Command, DefineSale, SetStock};
use holdfast_contracts::decision::{Reason, SaleState};

use super::books::{Content, FirstAnswer, Sale, Stock};
use super::ids::partition_of;
use super::partition::{OutOfScope, PartitionJudge};
use super::said::{Said, Spoken, name};
use super::verdict::Promise;

/// Most units of a SKU.
const STOCK_MAX: i128 = 1 << 40;

impl PartitionJudge<'_> {
    pub(super) fn stock(
        &mut self,
        command: &Command<'_>,
        said: &Spoken,
        skus: &[&str],
    ) -> Result<(), OutOfScope> {
        let (id, sku, content, new) = match command {
            Command::SetStock(it) => {
                let sku = name(skus, it.sku);
                let new = self.set(it, &sku)?;
                (it.command_id, sku.clone(), set_content(it, sku), new)
            }
            Command::AdjustStock(it) => {
                let sku = name(skus, it.sku);
                let new = self.adjusted(it, &sku);
                (it.command_id, sku.clone(), adjust_content(it, sku), new)
            }
            _ => return Ok(()),
        };
        if let Some(want) = self.repeated(id, &content, |judge| {
            let stock = judge.books.stock.get(&sku).copied().unwrap_or_default();
            Said::Stock { sku: sku.clone(), figures: stock.figures() }
        }) {
            if want != *said {
                self.broken(
                    Promise::S3,
                    &[id],
                    format!("a repeated command: expected {want:?}, the output says {said:?}"),
                );
            }
            return Ok(());
        }
        let want = match new {
            Ok(stock) => Spoken::first(id, Said::Stock { sku: sku.clone(), figures: stock.figures() }),
            Err((reason, value)) => Spoken::refused(id, reason, blamed(reason, &sku), value),
        };
        if want != *said {
            self.broken(
                Promise::S2,
                &[id],
                format!("stock: expected {:?}, the output says {:?}", want.said, said.said),
            );
        }
        let first = match &said.said {
            Said::Stock { figures, .. } => {
                self.facts.counts.add("stock_changes", 1);
                // What is on hand is told by the output; the rest stays the checker's own sum.
                let stock = self.books.stock_mut(&sku);
                stock.on_hand = i128::from(figures[0]);
                stock.unavailable = i128::from(figures[4]);
                stock.available = stock.on_hand - stock.held - stock.committed - stock.unavailable;
                FirstAnswer::Done
            }
            Said::Refused { reason, sku, value } => {
                FirstAnswer::Refused { reason: *reason, sku: sku.clone(), value: *value }
            }
            _ => FirstAnswer::Done,
        };
        self.books.known.insert(id, (content, first));
        Ok(())
    }

    /// The answer to a command whose id is known, with what is told of a success.
    fn repeated(
        &self,
        id: ReservationId,
        content: &Content,
        told: impl FnOnce(&Self) -> Said,
    ) -> Option<Spoken> {
        let (first, answer) = self.books.known.get(&id)?;
        Some(match answer {
            _ if first != content => Spoken::refused(id, Reason::IdReused, None, 0),
            FirstAnswer::Refused { reason, sku, value } => {
                Spoken { replay: true, ..Spoken::refused(id, *reason, sku.as_deref(), *value) }
            }
            _ => Spoken { id: Some(id), replay: true, said: told(self) },
        })
    }

    fn set(&self, it: &SetStock<'_>, sku: &str) -> Result<Result<Stock, (Reason, u64)>, OutOfScope> {
        if it.force {
            return Err(OutOfScope("a forced cut of stock"));
        }
        let on_hand = i128::from(it.on_hand);
        if sku.is_empty() || on_hand > STOCK_MAX {
            return Ok(Err((Reason::Invalid, 0)));
        }
        if partition_of(sku, self.partitions) != self.partition {
            return Ok(Err((Reason::UnknownSku, 0)));
        }
        let was = self.books.stock.get(sku).copied().unwrap_or_default();
        if it.expected.is_some_and(|expected| i128::from(expected) != was.on_hand) {
            return Ok(Err((Reason::StockChanged, was.figures()[0])));
        }
        let promised = was.held + was.committed + was.unavailable;
        Ok(if on_hand >= promised {
            Ok(Stock { on_hand, available: on_hand - promised, ..was })
        } else {
            Err((Reason::StockBelowPromised, was.figures()[1]))
        })
    }

    fn adjusted(&self, it: &AdjustStock<'_>, sku: &str) -> Result<Stock, (Reason, u64)> {
        if sku.is_empty() {
            return Err((Reason::Invalid, 0));
        }
        let Some(was) = self.books.stock.get(sku).copied() else { return Err((Reason::UnknownSku, 0)) };
        let (delta, set_aside) = (i128::from(it.delta), i128::from(it.set_aside));
        if (delta == 0 && set_aside == 0) || delta.abs() > STOCK_MAX || set_aside.abs() > STOCK_MAX {
            return Err((Reason::Invalid, 0));
        }
        let new = Stock {
            on_hand: was.on_hand + delta,
            available: was.available + delta - set_aside,
            unavailable: was.unavailable + set_aside,
            ..was
        };
        if new.available < 0 {
            Err((Reason::StockBelowPromised, was.figures()[1]))
        } else if new.unavailable < 0 {
            Err((Reason::StockBelowPromised, was.figures()[4]))
        } else if new.on_hand > STOCK_MAX {
            Err((Reason::Invalid, 0))
        } else {
            Ok(new)
        }
    }

    pub(super) fn sale(
        &mut self,
        command: &Command<'_>,
        said: &Spoken,
        skus: &[&str],
    ) -> Result<(), OutOfScope> {
        if let Command::DefineSale(it) = command {
            return self.define(it, said, skus);
        }
        let (sale_id, asked) = match command {
            Command::OpenSale { sale_id } => (*sale_id, SaleState::Open),
            Command::PauseSale { freeze_ttl: true, .. } => {
                return Err(OutOfScope("a pause that freezes deadlines"));
            }
            Command::PauseSale { sale_id, .. } => (*sale_id, SaleState::Paused),
            Command::CloseSale { sale_id } => (*sale_id, SaleState::Closed),
            _ => return Ok(()),
        };
        let state = self.books.sales.get(sale_id).map(|it| it.state);
        let said_by_rules = match (state, asked) {
            (None, _) => Err(Reason::UnknownSale),
            (Some(is), _) if is == asked => Ok(true),
            (Some(SaleState::Closed), _) | (Some(SaleState::Draft), SaleState::Paused) => {
                Err(Reason::SaleState)
            }
            (Some(_), _) => Ok(false),
        };
        let said_by_rules = match said_by_rules {
            Ok(unchanged) => Said::Sale { state: asked, unchanged },
            Err(reason) => Said::Refused { reason, sku: None, value: 0 },
        };
        self.expect(&Spoken { id: None, replay: false, said: said_by_rules }, said);
        if let (Said::Sale { state, .. }, Some(sale)) = (&said.said, self.books.sales.get_mut(sale_id)) {
            sale.state = *state;
        }
        Ok(())
    }

    fn define(&mut self, it: &DefineSale<'_>, said: &Spoken, names: &[&str]) -> Result<(), OutOfScope> {
        if it.terms.waitlist {
            return Err(OutOfScope("a waitlist"));
        }
        let skus: BTreeSet<String> = it.skus.iter().map(|index| name(names, index)).collect();
        let content =
            Content::DefineSale { sale_id: it.sale_id.to_owned(), terms: it.terms, skus: skus.clone() };
        let id = it.command_id;
        let state_now =
            |judge: &Self| judge.books.sales.get(it.sale_id).map_or(SaleState::Draft, |it| it.state);
        if let Some(want) =
            self.repeated(id, &content, |judge| Said::Sale { state: state_now(judge), unchanged: true })
        {
            if want != *said {
                self.broken(
                    Promise::S3,
                    &[id],
                    format!("a repeated command: expected {want:?}, the output says {said:?}"),
                );
            }
            return Ok(());
        }
        if self.books.sales.contains_key(it.sale_id) {
            return Err(OutOfScope("a sale that is defined again"));
        }
        let want = match self.refuse_definition(it, &skus) {
            Some((reason, sku)) => Spoken::refused(id, reason, sku.as_deref(), 0),
            None => Spoken::first(id, Said::Sale { state: SaleState::Draft, unchanged: false }),
        };
        self.expect(&want, said);
        let first = match &said.said {
            Said::Sale { state, .. } => {
                for sku in &skus {
                    self.books.stock_mut(sku);
                    self.books.sale_of.insert(sku.clone(), it.sale_id.to_owned());
                }
                let sale = Sale { state: *state, terms: it.terms, skus };
                self.books.sales.insert(it.sale_id.to_owned(), sale);
                FirstAnswer::Done
            }
            Said::Refused { reason, sku, value } => {
                FirstAnswer::Refused { reason: *reason, sku: sku.clone(), value: *value }
            }
            _ => FirstAnswer::Done,
        };
        self.books.known.insert(id, (content, first));
        Ok(())
    }

    fn refuse_definition(
        &self,
        it: &DefineSale<'_>,
        skus: &BTreeSet<String>,
    ) -> Option<(Reason, Option<String>)> {
        let named = (1..=64).contains(&it.sale_id.len());
        if !named || skus.contains("") || skus.len() > 4_096 || !it.terms.are_valid() {
            return Some((Reason::Invalid, None));
        }
        let foreign = skus.iter().find(|sku| partition_of(sku, self.partitions) != self.partition);
        if let Some(sku) = foreign {
            return Some((Reason::UnknownSku, Some(sku.clone())));
        }
        let taken = |sku: &&String| {
            self.books
                .sale(sku)
                .is_some_and(|(_, sale)| sale.state != SaleState::Closed && sale.skus.contains(*sku))
        };
        skus.iter().find(taken).map(|sku| (Reason::SkuInOtherSale, Some(sku.clone())))
    }
}

/// The SKU that a refusal names.
fn blamed(reason: Reason, sku: &str) -> Option<&str> {
    matches!(reason, Reason::UnknownSku | Reason::StockChanged | Reason::StockBelowPromised).then_some(sku)
}

fn set_content(it: &SetStock<'_>, sku: String) -> Content {
    Content::SetStock {
        sku,
        on_hand: it.on_hand,
        expected: it.expected,
        force: it.force,
        reason: it.reason.to_owned(),
        reference: it.reference.to_owned(),
    }
}

fn adjust_content(it: &AdjustStock<'_>, sku: String) -> Content {
    Content::AdjustStock {
        sku,
        delta: it.delta,
        set_aside: it.set_aside,
        reason: it.reason.to_owned(),
        reference: it.reference.to_owned(),
    }
}
