//! Histories made by hand: what a few buyers could have been told, in milliseconds since the run began.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{CHECKS, Check, History, SaleFacts};
use crate::books::{
    Answer, Ask, Body, Code, Customer, DecidedBy, Exchange, Key, Moment, Position, Sku, State, Told,
};
use crate::checks::Counted;

/// The tale's buyers have left by then, and the audit begins.
pub(super) const ENDED_MS: u64 = 60_000;
pub(super) const TTL_MS: u64 = 3_000;

pub(super) struct Tale {
    pub(super) facts: SaleFacts,
    exchanges: Vec<Exchange>,
}

pub(super) fn at(ms: u64) -> Moment {
    Moment(ms * 1_000_000)
}

pub(super) fn place(offset: u64) -> Position {
    Position { partition: 0, offset, index: 0 }
}

pub(super) fn granted(name: &str, units: u32, offset: u64) -> Answer {
    let (position, told) = (place(offset), Told::First);
    Answer::Granted { reservation: name.into(), units, as_asked: true, position, told }
}

pub(super) fn again(answer: Answer) -> Answer {
    match answer {
        Answer::Granted { reservation, units, as_asked, position, .. } => {
            Answer::Granted { reservation, units, as_asked, position, told: Told::Again }
        }
        Answer::Refused { code, by, .. } => Answer::Refused { code, by, position: None, told: Told::Again },
        other => other,
    }
}

pub(super) fn refused(code: Code, offset: u64) -> Answer {
    Answer::Refused { code, by: DecidedBy::Sequencer, position: Some(place(offset)), told: Told::First }
}

pub(super) fn sold_out(offset: u64) -> Answer {
    refused(Code::InsufficientStock, offset)
}

pub(super) fn gate() -> Answer {
    Answer::Refused { code: Code::InsufficientStock, by: DecidedBy::Gate, position: None, told: Told::First }
}

pub(super) fn stands(name: &str, state: State) -> Answer {
    Answer::Stands { reservation: name.into(), state }
}

pub(super) fn no(code: Code) -> Answer {
    Answer::Refused { code, by: DecidedBy::Sequencer, position: None, told: Told::First }
}

impl Tale {
    /// A sale of one SKU, at most two units per customer.
    pub(super) fn of(supply: u64) -> Self {
        Self::of_each(&[supply])
    }

    /// A sale of several SKUs, by number.
    pub(super) fn of_each(supply: &[u64]) -> Self {
        let facts = SaleFacts {
            supply: (0..).map(Sku).zip(supply.iter().copied()).collect(),
            sells_out: true,
            buyers_insist: true,
            counted: BTreeMap::new(),
            hold_ttl: Duration::from_millis(TTL_MS),
            units_per_customer_max: 2,
            ended: at(ENDED_MS),
            clock_trusted: true,
        };
        Self { facts, exchanges: Vec::new() }
    }

    /// It need not sell out.
    pub(super) fn leaves_some(mut self) -> Self {
        self.facts.sells_out = false;
        self
    }

    /// Buyers may give up.
    pub(super) fn with_hasty_buyers(mut self) -> Self {
        self.facts.buyers_insist = false;
        self
    }

    /// The server counts SKU 0 in the span: available, held, committed.
    pub(super) fn counts(mut self, (after, before): (u64, u64), counters: [u64; 3]) -> Self {
        let [available, held, committed] = counters;
        let counted = Counted { available, held, committed, after: at(after), before: at(before) };
        self.facts.counted.insert(Sku(0), counted);
        self
    }

    /// Customer `who` asks for units with its key `serial`.
    pub(super) fn asks(self, who: u32, serial: u32, units: u32, when: (u64, u64), answer: Answer) -> Self {
        self.asks_for(who, serial, Body::one(Sku(0), units), when, answer)
    }

    /// Customer `who` asks for something with its key `serial`.
    pub(super) fn asks_for(
        mut self,
        who: u32,
        serial: u32,
        body: Body,
        when: (u64, u64),
        answer: Answer,
    ) -> Self {
        let key = Key { customer: Customer(who), serial };
        self.push(when, Ask::Reserve { key, body }, answer);
        self
    }

    pub(super) fn confirms(mut self, name: &str, when: (u64, u64), answer: Answer) -> Self {
        self.push(when, Ask::Confirm { reservation: name.into() }, answer);
        self
    }

    pub(super) fn releases(mut self, name: &str, when: (u64, u64), answer: Answer) -> Self {
        self.push(when, Ask::Release { reservation: name.into() }, answer);
        self
    }

    pub(super) fn reads(mut self, name: &str, when: (u64, u64), answer: Answer) -> Self {
        self.push(when, Ask::Read { reservation: name.into() }, answer);
        self
    }

    /// Customer `who` buys units in the span, confirming right after the grant.
    pub(super) fn buys(self, who: u32, name: &str, units: u32, when: (u64, u64), offset: u64) -> Self {
        let (sent, told) = when;
        self.asks(who, 0, units, when, granted(name, units, offset)).confirms(
            name,
            (told + 1, told + 2 + told - sent),
            stands(name, State::Confirmed),
        )
    }

    fn push(&mut self, (sent, received): (u64, u64), ask: Ask, answer: Answer) {
        assert!(sent < received, "an answer comes after its question");
        let (sent, received) = (at(sent), at(received));
        self.exchanges.push(Exchange { sent, received, ask, answer });
    }

    /// Everything is asked once more after the sale, and answered as before; holds have ended as they were told to,
    /// or by time.
    pub(super) fn audited(self) -> Self {
        self.audited_but_for("")
    }

    /// The same; how this one reservation stands has been read already.
    pub(super) fn audited_but_for(mut self, name: &str) -> Self {
        let told = self.exchanges.clone();
        let mut keys = BTreeSet::new();
        for exchange in told.iter().filter(|it| it.answer.is_decision()) {
            let Ask::Reserve { key, .. } = &exchange.ask else { continue };
            if !keys.insert(*key) {
                continue;
            }
            self.push((ENDED_MS, ENDED_MS + 1), exchange.ask.clone(), again(exchange.answer.clone()));
            if let Answer::Granted { reservation, .. } = &exchange.answer
                && **reservation != *name
            {
                let state = end_of(&told, reservation);
                self.push(
                    (ENDED_MS, ENDED_MS + 1),
                    Ask::Read { reservation: reservation.clone() },
                    stands(reservation, state),
                );
            }
        }
        self
    }

    /// The checks that condemn this tale.
    pub(super) fn judged(self) -> Vec<Check> {
        let history = History::new(self.facts, self.exchanges);
        CHECKS.iter().filter(|(_, check)| !check(&history).is_empty()).map(|(name, _)| *name).collect()
    }

    #[track_caller]
    pub(super) fn passes(self) {
        let history = History::new(self.facts, self.exchanges);
        for (name, check) in CHECKS {
            assert_eq!(check(&history), Vec::<String>::new(), "{name:?}");
        }
        // A run takes its books apart and puts them together again, to know what is to be asked at the end.
        let again = History::new(history.facts.clone(), history.into_exchanges());
        for (name, check) in CHECKS {
            assert_eq!(check(&again), Vec::<String>::new(), "{name:?}, of the same exchanges");
        }
    }

    #[track_caller]
    pub(super) fn fails(self, checks: &[Check]) {
        assert_eq!(self.judged(), checks);
    }
}

fn end_of(told: &[Exchange], name: &Arc<str>) -> State {
    told.iter()
        .filter(|it| match &it.ask {
            Ask::Reserve { .. } => false,
            Ask::Confirm { reservation } | Ask::Release { reservation } | Ask::Read { reservation } => {
                reservation == name
            }
        })
        .filter_map(|it| it.answer.state())
        .find(|it| it.is_end())
        .unwrap_or(State::Expired)
}
