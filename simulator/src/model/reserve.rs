//! Section 3: reserve.

use holdfast_contracts::command::Reserve;
use holdfast_contracts::decision::{FirstDecided, HoldState, Reason, SaleState};
use holdfast_contracts::{LogTime, ReservationId};

use super::memory::{Answered, Content, Known};
use super::state::{FirstAnswer, HeldLine, Reservation, SoldOutThen};
use super::{Model, Place, Twist, clock};
use crate::answer::{Decision, Outcome, Refusal, Sku};
use crate::marks::Mark;

const QUANTITY_MAX: u64 = 1_000_000;
const LINES_MAX: usize = 32;

/// A reserve command with its lines merged.
struct Request {
    customer: u64,
    /// One per SKU, by the bytes of the SKU.
    lines: Vec<(Sku, u64)>,
    allow_partial: bool,
    join_waitlist: bool,
    /// Rule 3.2.
    valid: bool,
}

/// A request that is not refused.
enum Verdict {
    Granted { sale: usize, lines: Vec<HeldLine> },
    Waits { sale: usize, line: HeldLine },
}

impl Model {
    pub(super) fn reserve(&mut self, it: &Reserve<'_>, skus: &[&str]) -> Decision {
        let id = it.reservation_id;
        let request = self.merge(it, skus);
        let content = Content::Reserve {
            customer: request.customer,
            lines: request.lines.clone(),
            allow_partial: request.allow_partial,
            join_waitlist: request.join_waitlist,
        };
        match self.known(id, &content) {
            Known::Same(answer) => return self.replay_reserve(id, answer),
            Known::OtherContent => {
                return self.decision(Some(id), false, Err(Refusal::plain(Reason::IdReused)));
            }
            Known::Unknown => {}
        }
        let outcome = match self.judge(&request) {
            Ok(Verdict::Granted { sale, lines }) => Ok(self.grant(id, request.customer, sale, lines)),
            Ok(Verdict::Waits { sale, line }) => Ok(self.stand_in_line(id, request.customer, sale, line)),
            Err(refusal) => Err(refusal),
        };
        let answer = match &outcome {
            Ok(_) => Answered::Reservation(self.here()),
            Err(refusal) => Answered::Refused(refusal.clone()),
        };
        self.remember(id, content, answer);
        self.decision(Some(id), false, outcome)
    }

    fn merge(&mut self, it: &Reserve<'_>, skus: &[&str]) -> Request {
        let mut lines: Vec<(Sku, u64)> = Vec::with_capacity(it.lines.len());
        let mut valid = it.customer.0 != 0 && it.lines.len() <= LINES_MAX && !it.lines.is_empty();
        for (nth, line) in it.lines.iter().enumerate() {
            let sku = self.name(line.sku, skus);
            valid &= !sku.is_empty() && (1..=QUANTITY_MAX).contains(&u64::from(line.quantity));
            match lines.iter_mut().find(|(known, _)| *known == sku) {
                Some((_, quantity)) => {
                    *quantity += u64::from(line.quantity);
                    let other_index = it.lines.iter().take(nth).all(|before| before.sku != line.sku);
                    self.marks.hit(Mark::LinesOfOneSkuAddedUp);
                    self.marks.hit_if(other_index, Mark::SameSkuUnderTwoIndexes);
                }
                None => lines.push((sku, u64::from(line.quantity))),
            }
        }
        lines.sort();
        valid &= lines.iter().all(|(_, quantity)| (1..=QUANTITY_MAX).contains(quantity));
        valid &= !(it.allow_partial && it.join_waitlist);
        valid &= !it.join_waitlist || lines.len() == 1;
        Request {
            customer: it.customer.0,
            lines,
            allow_partial: it.allow_partial,
            join_waitlist: it.join_waitlist,
            valid,
        }
    }

    /// Rules 3.2 to 3.6.
    fn judge(&mut self, request: &Request) -> Result<Verdict, Refusal> {
        if !request.valid {
            return Err(Refusal::plain(Reason::Invalid));
        }
        if let Some((sku, _)) = request.lines.iter().find(|(sku, _)| !self.skus.contains_key(sku)) {
            return Err(Refusal::of_sku(Reason::UnknownSku, Sku::clone(sku), 0));
        }
        let sale = self.judge_sale(&request.lines)?;
        self.judge_limits(request, sale)?;
        self.judge_stock(request, sale)
    }

    /// Rule 3.4.
    fn judge_sale(&mut self, lines: &[(Sku, u64)]) -> Result<usize, Refusal> {
        let mut first = None;
        for (sku, _) in lines {
            let sale = self.sku(sku).sale;
            if let Err(reason) = self.sale_is_open(sale) {
                return Err(Refusal::of_sku(reason, Sku::clone(sku), 0));
            }
            if *first.get_or_insert(sale) != sale {
                return Err(Refusal::of_sku(Reason::DifferentSales, Sku::clone(sku), 0));
            }
        }
        Ok(first.flatten().expect("a valid request has a line, and that line's sale is open"))
    }

    /// Whether a sale is open in the sense of rule 3.4, and if not, why.
    pub(super) fn sale_is_open(&mut self, sale: Option<usize>) -> Result<(), Reason> {
        let Some(sale) = sale else { return Err(Reason::SaleNotOpen) };
        let (state, terms, now) = (self.sales[sale].state, &self.sales[sale].terms, LogTime(self.now()));
        match state {
            SaleState::Draft => Err(Reason::SaleNotOpen),
            SaleState::Paused => Err(Reason::SalePaused),
            SaleState::Closed => Err(Reason::SaleClosed),
            SaleState::Open if terms.closes_at.0 != 0 && now >= terms.closes_at => {
                self.marks.hit_if(now == terms.closes_at, Mark::ClosesExactlyNow);
                Err(Reason::SaleClosed)
            }
            SaleState::Open if now < terms.opens_at => Err(Reason::SaleNotOpen),
            SaleState::Open => {
                self.marks.hit_if(now == terms.opens_at, Mark::OpensExactlyNow);
                Ok(())
            }
        }
    }

    /// Rule 3.5.
    fn judge_limits(&mut self, request: &Request, sale: usize) -> Result<(), Refusal> {
        let terms = self.sales[sale].terms;
        let most = u64::from(terms.units_per_reservation_max);
        let all: u64 = request.lines.iter().map(|(_, quantity)| quantity).sum();
        if most != 0 && all > most {
            return Err(Refusal { reason: Reason::PurchaseLimit, sku: None, value: most });
        }
        self.marks.hit_if(most != 0 && all == most, Mark::ExactlyAtReservationLimit);
        let most = u64::from(terms.units_per_customer_max);
        if most == 0 {
            return Ok(());
        }
        for (sku, quantity) in &request.lines {
            let has = self.account(sale, sku, request.customer);
            if has + quantity > most {
                self.marks.hit_if(has > most, Mark::CustomerLimitZeroLeftAfterLoweredTerms);
                let left = most.saturating_sub(has);
                return Err(Refusal::of_sku(Reason::PurchaseLimit, Sku::clone(sku), left));
            }
            self.marks.hit_if(has + quantity == most, Mark::ExactlyAtCustomerLimit);
        }
        Ok(())
    }

    /// Rule 3.6.
    fn judge_stock(&mut self, request: &Request, sale: usize) -> Result<Verdict, Refusal> {
        let mut lines = Vec::with_capacity(request.lines.len());
        for (sku, quantity) in &request.lines {
            self.marks.hit_if(self.needs_service.contains(sku), Mark::ReserveWhileLineNeedsService);
            let offered = self.offered(sku);
            let granted = if self.twisted(Twist::OversellsByOne) && offered > 0 && offered + 1 == *quantity {
                *quantity
            } else {
                offered.min(*quantity)
            };
            if granted < *quantity && !request.allow_partial {
                self.note_sold_out(sku);
                if request.join_waitlist && self.sales[sale].terms.waitlist {
                    return Ok(Verdict::Waits { sale, line: held_line(sku, *quantity, 0) });
                }
                return Err(Refusal::of_sku(Reason::InsufficientStock, Sku::clone(sku), offered));
            }
            lines.push(held_line(sku, *quantity, granted));
        }
        if lines.iter().all(|line| line.granted == 0) {
            let first = Sku::clone(&lines[0].sku);
            self.note_sold_out(&first);
            return Err(Refusal::of_sku(Reason::InsufficientStock, first, 0));
        }
        Ok(Verdict::Granted { sale, lines })
    }

    fn note_sold_out(&mut self, sku: &Sku) {
        let state = self.sku_mut(sku);
        if state.available == 0 && state.sold_out_then == SoldOutThen::Never {
            state.sold_out_then = SoldOutThen::SoldOut;
        }
    }

    fn grant(&mut self, id: ReservationId, customer: u64, sale: usize, lines: Vec<HeldLine>) -> Outcome {
        self.marks.hit_if(lines.len() > 1, Mark::GrantedSeveralLines);
        self.marks.hit_if(lines.iter().any(|line| line.granted < line.quantity), Mark::GrantedInPart);
        self.marks.hit_if(lines.iter().any(|line| line.granted == 0), Mark::GrantedWithAnEmptyLine);
        for line in &lines {
            self.take_available(&line.sku, line.granted);
            self.sku_mut(&line.sku).held += u64::from(line.granted);
            self.add_to_account(sale, &line.sku, customer, line.granted);
        }
        let expires_after_ms = u64::from(self.sales[sale].terms.hold_ttl_ms);
        let told = lines.iter().map(HeldLine::told).collect();
        let first_answer = FirstAnswer::Granted { expires_after_ms };
        let deadline = Some(self.now() + expires_after_ms);
        self.keep(id, customer, sale, lines, HoldState::Held, first_answer);
        self.set_deadline(self.here(), deadline);
        Outcome::Reserved { expires_after_ms, lines: told, first: FirstDecided::default() }
    }

    fn stand_in_line(&mut self, id: ReservationId, customer: u64, sale: usize, line: HeldLine) -> Outcome {
        self.marks.hit(Mark::JoinedTheLine);
        let told = line.told();
        self.add_to_account(sale, &line.sku, customer, line.quantity);
        let here = self.here();
        self.lines.entry((sale, Sku::clone(&line.sku))).or_default().insert(here, line.quantity);
        let closes_at = self.sales[sale].terms.closes_at.0;
        let deadline = (closes_at != 0).then(|| clock::clamp(closes_at));
        self.keep(id, customer, sale, vec![line], HoldState::Waiting, FirstAnswer::Waiting);
        self.set_deadline(self.here(), deadline);
        Outcome::Waiting { line: told, first: FirstDecided::default() }
    }

    fn keep(
        &mut self,
        id: ReservationId,
        customer: u64,
        sale: usize,
        lines: Vec<HeldLine>,
        state: HoldState,
        first_answer: FirstAnswer,
    ) {
        let reservation = Reservation {
            id,
            customer,
            sale,
            lines,
            state,
            deadline: None,
            decided_at: self.now(),
            lives_since: self.now(),
            extended: 0,
            first_answer,
            ended_waiting: false,
        };
        self.begin(self.here(), reservation);
    }

    fn replay_reserve(&mut self, id: ReservationId, answer: Answered) -> Decision {
        let outcome = match answer {
            Answered::Refused(refusal) => {
                self.marks.hit(Mark::ReplayOfRefusal);
                Err(refusal)
            }
            Answered::Reservation(place) => Ok(self.first_answer(place)),
            Answered::Done => unreachable!("a reserve is refused or leaves a reservation"),
        };
        self.decision(Some(id), true, outcome)
    }

    /// The first answer again, whatever became of the reservation.
    fn first_answer(&mut self, place: Place) -> Outcome {
        let reservation = self.reservation(place);
        let mut lines = reservation.first_lines();
        let Place { offset, index } = place;
        let (state, decided_at) = (reservation.state, reservation.decided_at);
        match reservation.first_answer {
            FirstAnswer::Granted { expires_after_ms } => {
                self.marks.hit(Mark::ReplayOfGrant);
                let over = matches!(state, HoldState::Released | HoldState::Expired);
                self.marks.hit_if(over, Mark::ReplayOfGrantAfterItsEnd);
                let first = FirstDecided { ago_ms: self.now() - decided_at, offset, index };
                Outcome::Reserved { expires_after_ms, lines, first }
            }
            FirstAnswer::Waiting => {
                self.marks.hit(Mark::ReplayOfWaiting);
                self.marks.hit_if(state != HoldState::Waiting, Mark::ReplayOfWaitingAfterOffer);
                Outcome::Waiting { line: lines.remove(0), first: FirstDecided { ago_ms: 0, offset, index } }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a valid quantity is at most 1,000,000")]
fn held_line(sku: &Sku, quantity: u64, granted: u64) -> HeldLine {
    HeldLine { sku: Sku::clone(sku), quantity: quantity as u32, granted: granted as u32 }
}
