//! Was this reservation to be granted?

use std::collections::{BTreeMap, BTreeSet};

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::Reserve;
use holdfast_contracts::decision::{HoldState, Reason, SaleState};

use super::books::{Content, FirstAnswer, Hold};
use super::partition::{OutOfScope, PartitionJudge};
use super::said::{First, Said, SaidLine, Spoken, name};
use super::verdict::Promise;

/// A value of a repeated refusal is told up to this.
const REPLAYED_VALUE_MAX: u64 = 1_048_575;

/// A request with its lines added up by SKU.
struct Wanted {
    id: ReservationId,
    customer: u64,
    lines: Vec<(String, u64)>,
    raw_is_valid: bool,
    allow_partial: bool,
}

impl PartitionJudge<'_> {
    pub(super) fn reserve(
        &mut self,
        reserve: &Reserve<'_>,
        said: &Spoken,
        skus: &[&str],
    ) -> Result<(), OutOfScope> {
        if reserve.join_waitlist {
            return Err(OutOfScope("a waitlist"));
        }
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for line in reserve.lines.iter() {
            *lines.entry(name(skus, line.sku)).or_default() += u64::from(line.quantity);
        }
        let in_range = |quantity: u64| (1..=1_000_000).contains(&quantity);
        let raw_is_valid = (1..=32).contains(&reserve.lines.len())
            && reserve
                .lines
                .iter()
                .all(|it| in_range(u64::from(it.quantity)) && (it.sku as usize) < skus.len());
        let wanted = Wanted {
            id: reserve.reservation_id,
            customer: reserve.customer.0,
            raw_is_valid: raw_is_valid && lines.values().all(|it| in_range(*it)) && reserve.customer.0 != 0,
            lines: lines.into_iter().collect(),
            allow_partial: reserve.allow_partial,
        };
        let content = Content::Reserve {
            customer: wanted.customer,
            lines: wanted.lines.clone(),
            allow_partial: wanted.allow_partial,
        };
        let now = self.clock.now();
        let want = match self.books.known.get(&wanted.id) {
            Some((first, _)) if *first != content => Spoken::refused(wanted.id, Reason::IdReused, None, 0),
            Some((_, first)) => replayed(wanted.id, first, now),
            None => self.decide(&wanted),
        };
        if want != *said {
            let (promise, what) = classify(&want, said);
            self.broken(
                promise,
                &[wanted.id],
                format!("{what}: expected {want:?}, the output says {said:?}"),
            );
        }
        self.follow(&wanted, content, said);
        Ok(())
    }

    /// The first answer to a request, by the rules.
    fn decide(&self, wanted: &Wanted) -> Spoken {
        let refused = |reason, sku: Option<&str>, value| Spoken::refused(wanted.id, reason, sku, value);
        if !wanted.raw_is_valid {
            return refused(Reason::Invalid, None, 0);
        }
        let unknown = wanted.lines.iter().find(|(sku, _)| !self.books.stock.contains_key(sku));
        if let Some((sku, _)) = unknown {
            return refused(Reason::UnknownSku, Some(sku), 0);
        }
        let (sale, expires_after_ms) = match self.open_sale(&wanted.lines) {
            Ok(sale) => sale,
            Err((reason, sku)) => return refused(reason, Some(&sku), 0),
        };
        let terms = self.books.sales[&sale].terms;
        let total: u64 = wanted.lines.iter().map(|(_, quantity)| quantity).sum();
        let reservation_max = u64::from(terms.units_per_reservation_max);
        if reservation_max != 0 && total > reservation_max {
            return refused(Reason::PurchaseLimit, None, reservation_max);
        }
        let customer_max = i128::from(terms.units_per_customer_max);
        for (sku, quantity) in wanted.lines.iter().filter(|_| customer_max != 0) {
            let has = self.books.units_of(&sale, sku, wanted.customer);
            if has + i128::from(*quantity) > customer_max {
                let allowed = u64::try_from((customer_max - has).max(0)).unwrap_or(0);
                return refused(Reason::PurchaseLimit, Some(sku), allowed);
            }
        }
        let granted =
            |sku: &str, quantity: u64| u64::try_from(self.books.available(sku)).unwrap_or(0).min(quantity);
        for (sku, quantity) in wanted.lines.iter().filter(|_| !wanted.allow_partial) {
            let there = granted(sku, *quantity);
            if there < *quantity {
                return refused(Reason::InsufficientStock, Some(sku), there);
            }
        }
        let line = |(sku, quantity): &(String, u64)| SaidLine {
            sku: sku.clone(),
            quantity: u32::try_from(*quantity).unwrap_or(u32::MAX),
            granted: u32::try_from(granted(sku, *quantity)).unwrap_or(u32::MAX),
        };
        let lines: Vec<SaidLine> = wanted.lines.iter().map(line).collect();
        if lines.iter().all(|it| it.granted == 0) {
            return refused(Reason::InsufficientStock, Some(&lines[0].sku), 0);
        }
        Spoken::first(wanted.id, Said::Reserved { expires_after_ms, lines, first: None })
    }

    /// The one open sale of all lines, and how long its holds live.
    fn open_sale(&self, lines: &[(String, u64)]) -> Result<(String, u64), (Reason, String)> {
        let now = self.clock.now();
        let mut first: Option<&String> = None;
        let mut ttl = 0;
        for (sku, _) in lines {
            let refuse = |reason| (reason, sku.clone());
            let (id, sale) = self.books.sale(sku).ok_or_else(|| refuse(Reason::SaleNotOpen))?;
            let (opens, closes) = (sale.terms.opens_at.0, sale.terms.closes_at.0);
            match sale.state {
                SaleState::Draft => return Err(refuse(Reason::SaleNotOpen)),
                SaleState::Paused => return Err(refuse(Reason::SalePaused)),
                SaleState::Closed => return Err(refuse(Reason::SaleClosed)),
                SaleState::Open if closes != 0 && now >= closes => return Err(refuse(Reason::SaleClosed)),
                SaleState::Open if now < opens => return Err(refuse(Reason::SaleNotOpen)),
                SaleState::Open => {}
            }
            if first.is_some_and(|first| first != id) {
                return Err(refuse(Reason::DifferentSales));
            }
            first = Some(id);
            ttl = u64::from(sale.terms.hold_ttl_ms);
        }
        Ok((first.cloned().unwrap_or_default(), ttl))
    }

    /// Books what the output says.
    fn follow(&mut self, wanted: &Wanted, content: Content, said: &Spoken) {
        let now = self.clock.now();
        let place = (self.place.offset, self.place.index);
        match &said.said {
            Said::Refused { reason: Reason::IdReused, .. } => self.facts.counts.add("id_reused", 1),
            _ if said.replay => self.facts.counts.add("replays", 1),
            Said::Reserved { expires_after_ms, lines, .. } => {
                self.facts.counts.add("granted", 1);
                let sale =
                    lines.first().and_then(|it| self.books.sale_of.get(&it.sku)).cloned().unwrap_or_default();
                let hold = Hold {
                    customer: wanted.customer,
                    sale,
                    lines: lines.clone(),
                    state: HoldState::Held,
                    deadline: now + expires_after_ms,
                    decided: now,
                    place,
                    extended: 0,
                };
                let (expires_after_ms, lines) = (*expires_after_ms, lines.clone());
                self.over_limit(wanted, &hold);
                self.books.grant(wanted.id, hold);
                let first = FirstAnswer::Granted { expires_after_ms, lines, decided: now, place };
                self.books.known.entry(wanted.id).or_insert((content, first));
            }
            Said::Refused { reason, sku, value } => {
                let name =
                    if *reason == Reason::InsufficientStock { "sold_out" } else { "refused_otherwise" };
                self.facts.counts.add(name, 1);
                if *reason != Reason::Full {
                    let first = FirstAnswer::Refused { reason: *reason, sku: sku.clone(), value: *value };
                    self.books.known.entry(wanted.id).or_insert((content, first));
                }
            }
            _ => {}
        }
    }

    /// Counts a customer's units by themselves: whatever else the output says, this must hold.
    fn over_limit(&mut self, wanted: &Wanted, hold: &Hold) {
        let Some(terms) = self.books.sales.get(&hold.sale).map(|it| it.terms) else { return };
        let skus: BTreeSet<&String> = hold.lines.iter().map(|it| &it.sku).collect();
        for sku in skus.into_iter().filter(|_| terms.units_per_customer_max != 0) {
            let more: i128 =
                hold.lines.iter().filter(|it| it.sku == *sku).map(|it| i128::from(it.granted)).sum();
            let has = self.books.units_of(&hold.sale, sku, wanted.customer) + more;
            if has > i128::from(terms.units_per_customer_max) {
                self.broken(
                    Promise::Limit,
                    &[wanted.id],
                    format!("customer {} has {has} of {sku}", wanted.customer),
                );
            }
        }
    }
}

/// The first answer again.
fn replayed(id: ReservationId, first: &FirstAnswer, now: u64) -> Spoken {
    let said = match first {
        FirstAnswer::Granted { expires_after_ms, lines, decided, place } => Said::Reserved {
            expires_after_ms: *expires_after_ms,
            lines: lines.clone(),
            first: Some(First { ago_ms: now - decided, offset: place.0, index: place.1 }),
        },
        FirstAnswer::Refused { reason, sku, value } => {
            Said::Refused { reason: *reason, sku: sku.clone(), value: (*value).min(REPLAYED_VALUE_MAX) }
        }
        FirstAnswer::Done => Said::Nothing,
    };
    Spoken { id: Some(id), replay: true, said }
}

/// Which promise a wrong answer to a reservation breaks.
fn classify(want: &Spoken, said: &Spoken) -> (Promise, &'static str) {
    let reused = |it: &Spoken| matches!(it.said, Said::Refused { reason: Reason::IdReused, .. });
    if want.id != said.id {
        return (Promise::S3, "the decision is about another id");
    }
    if want.replay || said.replay || reused(want) || reused(said) {
        return (Promise::S3, "a known id is not answered as it was, or an unknown one as if it were known");
    }
    match (&want.said, &said.said) {
        (Said::Refused { reason: Reason::InsufficientStock, .. }, Said::Reserved { .. }) => {
            (Promise::S1, "granted although there is not enough")
        }
        (Said::Refused { reason: Reason::PurchaseLimit, .. }, _)
        | (_, Said::Refused { reason: Reason::PurchaseLimit, .. }) => {
            (Promise::Limit, "the limit is not kept")
        }
        (Said::Reserved { .. }, Said::Refused { reason: Reason::InsufficientStock, .. }) => {
            (Promise::S10, "refused as sold out although there is enough")
        }
        (Said::Refused { .. }, Said::Refused { reason: Reason::InsufficientStock, .. }) => {
            (Promise::S10, "refused with another number than there is")
        }
        (Said::Reserved { .. }, Said::Reserved { .. }) => {
            (Promise::Rules, "granted otherwise than it was asked for")
        }
        _ => (Promise::Rules, "the answer is not the one of the rules"),
    }
}
