//! One buyer's day at the sale.

use std::sync::Arc;

use super::plan::{Manner, Plan};
use super::shop::{Patience, Person, Shop};
use crate::books::{Answer, Ask, Body, Code, Key, ReservationId, Sku, State};
use crate::http::Lane;

/// How long after the deadline a late buyer pays.
const TOO_LATE_BY: std::time::Duration = std::time::Duration::from_millis(300);

/// The tries for which a restless buyer has little patience.
const RESTLESS_TRIES: usize = 3;

/// Somebody who wants something.
pub(super) struct Buyer {
    shop: Arc<Shop>,
    person: Person,
    plan: Plan,
    keys_used: u32,
}

/// What a visit came to.
enum Visit {
    /// There is nothing more to do.
    Done,
    /// Nothing was to be had; perhaps later.
    Refused,
}

impl Buyer {
    pub(super) fn new(shop: Arc<Shop>, person: Person, plan: Plan) -> Self {
        Self { shop, person, plan, keys_used: 0 }
    }

    /// Shops until there is something in the bag, or no hope left.
    pub(super) async fn shop(mut self) {
        tokio::time::sleep(self.plan.arrives_after).await;
        let mut visits = 0;
        loop {
            visits += 1;
            match self.visit().await {
                Visit::Done => return,
                Visit::Refused if self.shop.is_over() => return,
                Visit::Refused if self.plan.visits_max.is_some_and(|max| visits >= max) => return,
                Visit::Refused => {
                    let pause = self.plan.pause();
                    self.shop.stay_away(pause).await;
                    if self.shop.is_over() {
                        return;
                    }
                }
            }
        }
    }

    async fn visit(&mut self) -> Visit {
        let key = self.next_key();
        let body = self.body(self.plan.wants);
        let answer = match self.plan.manner {
            Manner::DoubleClick => self.click_twice(key, body).await,
            _ => self.insist(Lane::Door, Ask::Reserve { key, body }).await,
        };
        if self.plan.manner == Manner::KeyReuse && answer.as_ref().is_some_and(Answer::is_decision) {
            self.reuse(key, body).await;
        }
        match answer {
            Some(Answer::Granted { reservation, .. }) => self.decide_about(reservation).await,
            Some(Answer::Refused { code: Code::InsufficientStock, .. }) => Visit::Refused,
            // Nobody is granted anything more, or the answer is none; the books have it.
            _ => Visit::Done,
        }
    }

    /// Both requests are under way at once, with the same key and body.
    async fn click_twice(&mut self, key: Key, body: Body) -> Option<Answer> {
        let ask = Ask::Reserve { key, body };
        let patience = Patience::long();
        let click = || self.shop.insist(&self.person, Lane::Door, &ask, &patience);
        let (first, second) = tokio::join!(click(), click());
        let granted = |it: &Option<Answer>| matches!(it, Some(Answer::Granted { .. }));
        if granted(&second) { second } else { first }
    }

    /// Another order under a key that is used already.
    async fn reuse(&mut self, key: Key, body: Body) {
        let other = self.body(3 - body.units());
        self.insist(Lane::Till, Ask::Reserve { key, body: other }).await;
    }

    async fn decide_about(&mut self, reservation: ReservationId) -> Visit {
        match self.plan.manner {
            Manner::NoShow => return Visit::Done,
            Manner::Releases => {
                self.think().await;
                self.twice_if(self.plan.wants == 2, Ask::Release { reservation }).await;
                return Visit::Done;
            }
            Manner::Late => tokio::time::sleep(self.shop.hold_ttl + TOO_LATE_BY).await,
            Manner::Greedy => self.ask_for_too_much().await,
            _ => self.think().await,
        }
        let answer =
            self.twice_if(self.plan.manner == Manner::DoubleClick, Ask::Confirm { reservation }).await;
        match answer {
            Some(Answer::Stands { state: State::Confirmed, .. }) => Visit::Done,
            Some(Answer::Refused { code: Code::Expired, .. }) => {
                // Once is enough of a lesson.
                if self.plan.manner == Manner::Late {
                    self.plan.manner = Manner::Plain;
                }
                Visit::Refused
            }
            _ => Visit::Done,
        }
    }

    /// One more reservation that goes beyond the limit; or, with a single unit, one that reaches it first.
    async fn ask_for_too_much(&mut self) {
        let mut have = self.plan.wants;
        while have <= self.shop.units_per_customer_max {
            let ask = Ask::Reserve { key: self.next_key(), body: self.body(1) };
            let Some(Answer::Granted { reservation, .. }) = self.insist(Lane::Till, ask).await else {
                return;
            };
            have += 1;
            self.insist(Lane::Till, Ask::Confirm { reservation }).await;
        }
    }

    async fn twice_if(&mut self, twice: bool, ask: Ask) -> Option<Answer> {
        if !twice {
            return self.insist(Lane::Till, ask).await;
        }
        let patience = Patience::long();
        let click = || self.shop.insist(&self.person, Lane::Till, &ask, &patience);
        let (first, _) = tokio::join!(click(), click());
        first
    }

    async fn insist(&mut self, lane: Lane, ask: Ask) -> Option<Answer> {
        let short = match self.plan.manner {
            Manner::Restless => (0..RESTLESS_TRIES).map(|_| self.plan.short_patience()).collect(),
            _ => Vec::new(),
        };
        self.shop.insist(&self.person, lane, &ask, &Patience { short }).await
    }

    async fn think(&mut self) {
        let thinking = self.plan.thinking();
        tokio::time::sleep(thinking).await;
    }

    fn next_key(&mut self) -> Key {
        let serial = self.keys_used;
        self.keys_used += 1;
        Key { customer: self.person.customer, serial }
    }

    fn body(&self, units: u32) -> Body {
        Body::one(Sku(0), units)
    }
}
