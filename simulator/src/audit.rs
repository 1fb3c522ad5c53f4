//! A third party: reads commands and answers only, keeps its own books, and checks the promises.
//!
//! It knows neither machine. Where the model says what the answer must be, the auditor asks whether the answers, taken
//! together, keep what was promised to buyers:
//!
//! - *no oversell* and *conservation*: every unit in its books is free, held, sold or set aside, and never negative;
//! - *one decision per id*: a replay repeats the first answer, a live id is never decided again;
//! - *one ending*: a reservation is confirmed, released or expired at most once;
//! - *never early*: nothing expires before the last deadline its buyer was told, nothing is confirmed after it;
//! - *first come, first served*: nobody is told "sold out" while there is enough, nobody overtakes the line.
//!
//! Some promises cannot be judged from answers alone in every situation (a freeze moves deadlines silently). Then the
//! auditor stays silent; the comparison with the model does not.

mod books;
mod ids;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_contracts::ReservationId;
use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::decision::{HoldState, Reason};

use crate::answer::{Decision, Event, Expected, Line, Outcome, Refusal, Sku, What};
use books::Book;
use ids::FirstAnswers;

/// The auditor's books of one partition.
#[derive(Debug, Clone)]
pub struct Auditor {
    skus: BTreeMap<Sku, Book>,
    holds: BTreeMap<ReservationId, Hold>,
    /// Who waits, per sale and SKU, in the order of joining.
    lines: BTreeMap<(String, Sku), Vec<ReservationId>>,
    sale_of: BTreeMap<Sku, String>,
    /// SKUs in whose line anybody ever stood.
    ever_waited: BTreeSet<Sku>,
    answers: FirstAnswers,
    rules: u32,
    now: u64,
    /// How often deadlines may have moved silently.
    shifts: u64,
    offset: u64,
}

#[derive(Debug, Clone)]
struct Hold {
    state: HoldState,
    lines: Vec<Line>,
    /// The last deadline the buyer was told.
    told_deadline: u64,
    /// Value of `shifts` when it was decided.
    shifts: u64,
    sale: String,
}

type Check = Result<(), String>;

impl Default for Auditor {
    fn default() -> Self {
        Self {
            skus: BTreeMap::new(),
            holds: BTreeMap::new(),
            lines: BTreeMap::new(),
            sale_of: BTreeMap::new(),
            ever_waited: BTreeSet::new(),
            answers: FirstAnswers::default(),
            rules: 1,
            now: 0,
            shifts: 0,
            offset: 0,
        }
    }
}

impl Auditor {
    /// Takes one record and its answers into the books.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn check(&mut self, offset: u64, payload: &[u8], answers: Option<&Expected>) -> Check {
        let Some(answers) = answers else { return Ok(()) };
        self.offset = offset;
        if answers.log_time_ms < self.now {
            return Err(format!("log time went back from {} to {}", self.now, answers.log_time_ms));
        }
        self.now = answers.log_time_ms;
        let mut events = answers.events.iter().peekable();
        while let Some(event) = events.next_if(|event| event.cause.is_none()) {
            self.event(event)?;
        }
        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        if decode_batch(payload, &mut skus, &mut commands).is_err() {
            let only_malformed = answers.malformed.is_some() && answers.decisions.is_empty();
            return if only_malformed { Ok(()) } else { Err("a malformed record was decided".to_owned()) };
        }
        if commands.len() != answers.decisions.len() {
            let (asked, answered) = (commands.len(), answers.decisions.len());
            return Err(format!("{asked} commands, {answered} decisions"));
        }
        for (index, (command, decision)) in (0..).zip(commands.iter().zip(&answers.decisions)) {
            let in_command = |why| format!("command {index}: {why}");
            // Books are changed in the order in which things happened: a hold expires before its units are taken
            // again, and units come back before they are offered.
            while let Some(event) = events
                .next_if(|event| event.cause == Some(index) && !matches!(event.what, What::Offered { .. }))
            {
                self.event(event).map_err(in_command)?;
            }
            if !matches!(command, Command::Confirm { .. }) {
                self.decided(command, decision, &skus).map_err(in_command)?;
            }
            while let Some(event) = events.next_if(|event| event.cause == Some(index)) {
                self.event(event).map_err(in_command)?;
            }
            if matches!(command, Command::Confirm { .. }) {
                self.decided(command, decision, &skus).map_err(in_command)?;
            }
            self.figures_agree(decision).map_err(in_command)?;
        }
        events.next().map_or(Ok(()), |event| Err(format!("an event nobody caused: {event:?}")))
    }

    fn event(&mut self, event: &Event) -> Check {
        match &event.what {
            What::Expired { id, lines, was_waiting } => self.expired(*id, lines, *was_waiting),
            What::Offered { id, expires_after_ms, line } => self.offered(*id, *expires_after_ms, line),
            What::ClockSuspect { .. } => Ok(()),
            What::ClockTrusted { step_ms } => {
                self.now += if event.cause.is_some() { *step_ms } else { 0 };
                self.shifts += u64::from(*step_ms > 0);
                Ok(())
            }
        }
    }

    fn expired(&mut self, id: ReservationId, lines: &[Line], was_waiting: bool) -> Check {
        let now = self.now;
        let hold = self.live(id)?;
        if was_waiting != (hold.state == HoldState::Waiting) {
            return Err(format!("{id} expired with was_waiting {was_waiting}, but it is {:?}", hold.state));
        }
        if lines != hold.lines {
            return Err(format!("{id} expired with lines {lines:?}, it has {:?}", hold.lines));
        }
        if !was_waiting && hold.told_deadline > now {
            return Err(format!("{id} expired at {now}, told until {}", hold.told_deadline));
        }
        self.end(id, HoldState::Expired)
    }

    fn offered(&mut self, id: ReservationId, expires_after_ms: u64, line: &Line) -> Check {
        let (now, rules) = (self.now, self.rules);
        let hold = self.live(id)?;
        if hold.state != HoldState::Waiting || line.missing != 0 || line.quantity != hold.lines[0].quantity {
            return Err(format!("{id} was offered {line:?}, it is {hold:?}"));
        }
        let key = (hold.sale.clone(), Sku::clone(&line.sku));
        hold.state = HoldState::Held;
        hold.lines = vec![line.clone()];
        hold.told_deadline = now + expires_after_ms;
        let available = self.book(&line.sku)?.available;
        let fits = |other: &&ReservationId| u64::from(self.holds[*other].lines[0].quantity) <= available;
        let queue = self.lines.get(&key).ok_or_else(|| format!("{id} does not stand in line"))?;
        let turn = queue.iter().take(if rules == 1 { 1 } else { 64 }).find(fits);
        if turn != Some(&id) {
            return Err(format!("{id} was served, it was the turn of {turn:?}"));
        }
        self.leave_line(&key, id)?;
        self.book(&line.sku)?.hold(line.quantity)
    }

    fn decided(&mut self, command: &Command<'_>, decision: &Decision, skus: &[&str]) -> Check {
        self.one_answer_per_id(command, decision, skus)?;
        let Some(outcome) = &decision.outcome else { return Ok(()) };
        match (command, outcome) {
            (Command::Reserve(it), Outcome::Reserved { expires_after_ms, lines, .. }) if !decision.replay => {
                self.granted(it.reservation_id, *expires_after_ms, lines)
            }
            (Command::Reserve(it), Outcome::Waiting { line, .. }) if !decision.replay => {
                self.joined(it.reservation_id, line)
            }
            (Command::Reserve(it), Outcome::Refused(refusal)) if !decision.replay => {
                self.not_sold_out_for_nothing(it.allow_partial, refusal)
            }
            (_, Outcome::Moved { state, expires_after_ms, lines, unchanged, late }) => {
                let id = decision.id.ok_or("a move without an id")?;
                self.moved(id, *state, lines, (*unchanged, *late))?;
                let now = self.now;
                if let Some(hold) = self.holds.get_mut(&id).filter(|_| *expires_after_ms > 0) {
                    hold.told_deadline = now + expires_after_ms;
                }
                Ok(())
            }
            (Command::SetStock(it), Outcome::StockChanged { sku, .. }) if !decision.replay => {
                self.skus.entry(Sku::clone(sku)).or_default().set(it)
            }
            (Command::AdjustStock(it), Outcome::StockChanged { sku, .. }) if !decision.replay => {
                self.book(sku)?.adjust(it)
            }
            (Command::DefineSale(it), Outcome::SaleChanged { .. }) if !decision.replay => {
                let members: Vec<_> =
                    it.skus.iter().filter_map(|n| skus.get(usize::try_from(n).ok()?)).collect();
                self.sale_of.retain(|_, sale| sale != it.sale_id);
                for sku in members {
                    self.sale_of.insert(Sku::from(*sku), it.sale_id.to_owned());
                    self.skus.entry(Sku::from(*sku)).or_default();
                }
                Ok(())
            }
            (Command::PauseSale { freeze_ttl: true, .. }, Outcome::SaleChanged { unchanged: false, .. }) => {
                self.shifts += 1;
                Ok(())
            }
            (Command::ActivateRules { dedupe_window_ms, .. }, Outcome::RulesActivated { version }) => {
                self.rules = *version;
                self.answers.window_changed(self.now, *dedupe_window_ms);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn granted(&mut self, id: ReservationId, expires_after_ms: u64, lines: &[Line]) -> Check {
        for line in lines {
            let sale = self.sale_of.get(&line.sku).cloned().ok_or("a grant outside of any sale")?;
            let overtaken = self.lines.get(&(sale, Sku::clone(&line.sku))).and_then(|queue| queue.first());
            if self.rules == 1 && line.missing < line.quantity && overtaken.is_some() {
                return Err(format!("{id} overtook {overtaken:?}, who waits for {}", line.sku));
            }
            self.book(&line.sku)?.hold(line.quantity - line.missing)?;
        }
        let told_deadline = self.now + expires_after_ms;
        self.keep(id, HoldState::Held, lines.to_vec(), told_deadline)
    }

    fn joined(&mut self, id: ReservationId, line: &Line) -> Check {
        let sale = self.sale_of.get(&line.sku).cloned().ok_or("a wait outside of any sale")?;
        self.ever_waited.insert(Sku::clone(&line.sku));
        self.lines.entry((sale, Sku::clone(&line.sku))).or_default().push(id);
        self.keep(id, HoldState::Waiting, vec![line.clone()], 0)
    }

    fn keep(&mut self, id: ReservationId, state: HoldState, lines: Vec<Line>, told_deadline: u64) -> Check {
        let sale = self.sale_of.get(&lines[0].sku).cloned().ok_or("a hold outside of any sale")?;
        if self.holds.get(&id).is_some_and(Hold::is_live) {
            return Err(format!("{id} was decided twice"));
        }
        self.holds.insert(id, Hold { state, lines, told_deadline, shifts: self.shifts, sale });
        Ok(())
    }

    /// A "sold out" must be true. Judged for SKUs that never had a line; with a line it is a question of turns.
    fn not_sold_out_for_nothing(&mut self, allow_partial: bool, refusal: &Refusal) -> Check {
        let Refusal { reason: Reason::InsufficientStock, sku: Some(sku), value } = refusal else {
            return Ok(());
        };
        if self.ever_waited.contains(sku) {
            return Ok(());
        }
        let available = self.book(sku)?.available;
        if *value != available || (allow_partial && available > 0) {
            return Err(format!("{sku} refused with {value} left, the books say {available}"));
        }
        Ok(())
    }

    fn moved(
        &mut self,
        id: ReservationId,
        state: HoldState,
        lines: &[Line],
        (unchanged, late): (bool, bool),
    ) -> Check {
        let (now, shifts) = (self.now, self.shifts);
        let hold = self.holds.get_mut(&id).ok_or_else(|| format!("{id} moved, it was never decided"))?;
        if hold.lines != lines {
            return Err(format!("{id} moved with lines {lines:?}, it has {:?}", hold.lines));
        }
        if unchanged {
            let over = hold.holds_units() && state == HoldState::Expired;
            if over && hold.told_deadline > now {
                return Err(format!("{id} counts as expired at {now}, told until {}", hold.told_deadline));
            }
            return if over || hold.state == state {
                Ok(())
            } else {
                Err(format!("{id} is {:?} in the books and unchanged {state:?} in the answer", hold.state))
            };
        }
        if hold.holds_units() && !late && hold.shifts == shifts && hold.told_deadline <= now {
            return Err(format!("{id} moved at {now} after its deadline {}", hold.told_deadline));
        }
        match state {
            HoldState::Held | HoldState::Paying => {
                let hold = self.live(id)?;
                hold.state = state;
                Ok(())
            }
            HoldState::Confirmed if late => self.sold_late(id),
            HoldState::Confirmed | HoldState::Released => self.end(id, state),
            HoldState::Expired | HoldState::Waiting => Err(format!("{id} cannot move to {state:?}")),
        }
    }

    fn sold_late(&mut self, id: ReservationId) -> Check {
        let hold = &self.holds[&id];
        if hold.is_live() || hold.state == HoldState::Confirmed {
            return Err(format!("{id} was sold late, but it is {:?}", hold.state));
        }
        for line in hold.lines.clone() {
            let book = self.book(&line.sku)?;
            book.hold(line.quantity - line.missing)?;
            book.sell(line.quantity - line.missing)?;
        }
        self.holds.get_mut(&id).ok_or("gone")?.state = HoldState::Confirmed;
        Ok(())
    }

    /// The one ending of a live reservation.
    fn end(&mut self, id: ReservationId, state: HoldState) -> Check {
        let hold = self.live(id)?;
        let before = std::mem::replace(&mut hold.state, state);
        let (sale, lines) = (hold.sale.clone(), hold.lines.clone());
        if before == HoldState::Waiting {
            return self.leave_line(&(sale, Sku::clone(&lines[0].sku)), id);
        }
        for line in lines {
            let units = line.quantity - line.missing;
            let book = self.book(&line.sku)?;
            if state == HoldState::Confirmed { book.sell(units)? } else { book.take_back(units)? }
        }
        Ok(())
    }

    fn leave_line(&mut self, key: &(String, Sku), id: ReservationId) -> Check {
        let queue = self.lines.get_mut(key).ok_or_else(|| format!("{id} does not stand in line"))?;
        queue.retain(|other| *other != id);
        if queue.is_empty() {
            self.lines.remove(key);
        }
        Ok(())
    }

    fn live(&mut self, id: ReservationId) -> Result<&mut Hold, String> {
        match self.holds.get_mut(&id) {
            Some(hold) if hold.is_live() => Ok(hold),
            other => Err(format!("{id} ended twice, or never began: {other:?}")),
        }
    }

    fn book(&mut self, sku: &Sku) -> Result<&mut Book, String> {
        self.skus.get_mut(sku).ok_or_else(|| format!("an answer about {sku}, which nobody made known"))
    }

    /// Figures told must be those of the books.
    fn figures_agree(&mut self, decision: &Decision) -> Check {
        match &decision.outcome {
            Some(Outcome::StockChanged { sku, figures, .. }) => self.book(sku)?.agrees(sku, figures),
            _ => Ok(()),
        }
    }
}

impl Hold {
    const fn is_live(&self) -> bool {
        self.holds_units() || matches!(self.state, HoldState::Waiting)
    }

    const fn holds_units(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }
}
