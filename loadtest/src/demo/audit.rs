//! Asks everything once more when the sale is over.
//!
//! Before that the shelf is filled up again. Whatever was decided must come back word for word all the same: a grant
//! as the same reservation, a refusal as a refusal, although there is plenty now. And a key of which nobody knows
//! whether it was decided tells so itself: if it had been, the answer is a repetition; if not, it is new.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use super::shop::{Patience, Person, Shop};
use crate::books::{Ask, Customer};
use crate::checks::{History, Hold};
use crate::http::Lane;

/// What has to be asked, by whom.
pub(super) struct Audit {
    questions: VecDeque<(Customer, Ask)>,
    /// Units that could be granted to those who ask for the first time.
    pub(super) units_max: u64,
}

impl Audit {
    /// Every decision, and every key that may have one.
    pub(super) fn of_keys(history: &History) -> Self {
        let mut questions = VecDeque::new();
        let mut units_max = 0;
        for entry in history.entries.iter().filter(|it| it.decision.is_some() || it.may_be_decided_unseen()) {
            for body in entry.bodies() {
                questions.push_back((entry.key.customer, Ask::Reserve { key: entry.key, body }));
                units_max += u64::from(body.units());
            }
        }
        Self { questions, units_max }
    }

    /// Every reservation, also those that the keys have brought to light.
    pub(super) fn of_holds(history: &History) -> Self {
        let read =
            |hold: &Hold| (history.entry(hold).key.customer, Ask::Read { reservation: hold.id.clone() });
        Self { questions: history.holds.iter().map(read).collect(), units_max: 0 }
    }

    /// Asks them all, `workers` at a time. The books have the answers.
    pub(super) async fn ask(self, shop: &Arc<Shop>, people: &Arc<Vec<Person>>, workers: usize) {
        let questions = Arc::new(Mutex::new(self.questions));
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let (shop, people, questions) = (shop.clone(), people.clone(), questions.clone());
            tasks.spawn(async move {
                loop {
                    let next = questions.lock().expect("nobody panics with it").pop_front();
                    let Some((customer, ask)) = next else { return };
                    let person = usize::try_from(customer.0).ok().and_then(|index| people.get(index));
                    if let Some(person) = person {
                        shop.insist(person, Lane::Door, &ask, &Patience::long()).await;
                    }
                }
            });
        }
        tasks.join_all().await;
    }
}
