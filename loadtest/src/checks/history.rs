//! The exchanges of a run, put together: one entry per key, one hold per grant, and all decisions in their order.

mod assemble;
mod bounds;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::books::{Answer, Ask, Body, Code, Exchange, Key, Lines, Moment, Position, ReservationId, Sku};

/// What the organiser of a sale knows for certain.
#[derive(Clone, Debug)]
pub(crate) struct SaleFacts {
    /// Units of each SKU, put on the shelf before the sale was opened and not touched until `ended`.
    pub(crate) supply: BTreeMap<Sku, u64>,
    /// More is wanted than there is, and the sale goes on until the last unit is sold.
    pub(crate) sells_out: bool,
    /// Buyers ask until they are answered. Where they may give up, 429 and 503 are answers, and of a confirmation or a
    /// release it is enough that its outcome can be read.
    pub(crate) buyers_insist: bool,
    /// What the server counted when the last buyer had left and before anything was put on the shelf again. A SKU that
    /// was not counted is not held against it.
    pub(crate) counted: BTreeMap<Sku, Counted>,
    pub(crate) hold_ttl: Duration,
    /// Per SKU.
    pub(crate) units_per_customer_max: u32,
    /// When the last buyer had left. A decision told for the first time later belongs to the audit.
    pub(crate) ended: Moment,
    /// Whether deadlines may be compared with the buyers' instants: the clocks ran together, and the server was
    /// never away for so long that it distrusts its own.
    pub(crate) clock_trusted: bool,
}

/// The units of a SKU as the server counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) available: u64,
    /// Being paid for included.
    pub(crate) held: u64,
    pub(crate) committed: u64,
    /// The counters were so at some moment between these: before the first the server was not yet asked (less the age
    /// that it says its counters have), and at the second it had answered.
    pub(crate) after: Moment,
    pub(crate) before: Moment,
}

/// How far the server's clock and the buyers' may be apart.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_millis(250);

/// How long after its deadline a hold may still take up units.
pub(crate) const EXPIRY_GRACE: Duration = Duration::from_secs(2);

/// Everything that was asked with one key.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    /// The body that was decided under the key; if none was, the first that was sent.
    pub(crate) body: Body,
    /// With that body.
    pub(crate) first_sent: Moment,
    /// Requests with that body, in the order in which they were sent.
    pub(crate) replies: Vec<Reply>,
    /// Requests with another body under this key, in the order in which they were sent.
    pub(crate) strangers: Vec<Reply>,
    pub(crate) decision: Option<Decision>,
}

/// A request and its answer, with the interval in which the server dealt with it.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) ask: Ask,
    pub(crate) sent: Moment,
    pub(crate) received: Moment,
    pub(crate) answer: Answer,
}

impl Reply {
    fn into_exchange(self) -> Exchange {
        Exchange { sent: self.sent, received: self.received, ask: self.ask, answer: self.answer }
    }
}

/// What the sequencer decided about a key, as its customer was told first.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    /// It was decided after the first of these and before the second. Both follow from this decision's own requests
    /// and from the decisions around it: one with a smaller place was made earlier, whenever its answer arrived.
    pub(crate) after: Moment,
    pub(crate) before: Moment,
    /// When its customer heard of it.
    pub(crate) first_told: Moment,
    /// Decided when the buyers had left, so it says nothing about the sale.
    pub(crate) of_the_audit: bool,
}

/// The two ways a decision can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Granted {
        reservation: ReservationId,
        units: u32,
        position: Position,
    },
    /// A refusal that was only ever told again has no place.
    Refused {
        code: Code,
        position: Option<Position>,
    },
}

impl Decision {
    /// Where it stands in the log, if its customer was told.
    pub(crate) fn position(&self) -> Option<Position> {
        match &self.outcome {
            Outcome::Granted { position, .. } => Some(*position),
            Outcome::Refused { position, .. } => *position,
        }
    }

    /// Whether this is a refusal with this code.
    pub(crate) fn refused_for(&self, wanted: &Code) -> bool {
        matches!(&self.outcome, Outcome::Refused { code, .. } if code == wanted)
    }
}

/// A granted reservation of the sale, and how long it took up units.
#[derive(Debug)]
pub(crate) struct Hold {
    /// Index into [`History::entries`].
    pub(crate) entry: usize,
    pub(crate) id: ReservationId,
    /// What it took up of each SKU.
    pub(crate) lines: Lines,
    pub(crate) position: Position,
    pub(crate) after: Moment,
    pub(crate) before: Moment,
    /// Confirmations, releases and reads, in the order in which they were sent.
    pub(crate) replies: Vec<Reply>,
    /// It surely took up its units until here, counted from its decision. Never over for a confirmed one.
    pub(crate) surely_until: Moment,
    /// From here on it surely took up none.
    pub(crate) possibly_until: Moment,
}

/// The run, ready to be judged.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) facts: SaleFacts,
    pub(crate) entries: Vec<Entry>,
    /// In order of position.
    pub(crate) holds: Vec<Hold>,
    /// Indices of entries whose decision has a place, in that order, decisions of the audit left out.
    pub(crate) placed: Vec<usize>,
    /// Requests about reservations that nobody was ever granted.
    pub(crate) astray: Vec<Reply>,
}

impl Entry {
    /// A request of the sale went unanswered and no decision was told: there may be one that nobody knows.
    pub(crate) fn may_be_decided_unseen(&self) -> bool {
        let unknown = |it: &Reply| matches!(it.answer, Answer::Silence | Answer::Pending);
        self.decision.is_none() && self.replies.iter().chain(&self.strangers).any(unknown)
    }

    /// The bodies that the key may stand for: the decided one, or every one that was sent. Whoever wants to know the
    /// decision asks for all of them; all but one are a conflict.
    pub(crate) fn bodies(&self) -> Vec<Body> {
        let mut bodies = vec![self.body];
        if self.decision.is_none() {
            for stranger in &self.strangers {
                if let Ask::Reserve { body, .. } = stranger.ask
                    && !bodies.contains(&body)
                {
                    bodies.push(body);
                }
            }
        }
        bodies
    }

    /// The units of each SKU that a decision can have granted.
    pub(crate) fn lines_at_most(&self) -> BTreeMap<Sku, u32> {
        let mut lines: BTreeMap<Sku, u32> = BTreeMap::new();
        for (sku, units) in self.bodies().iter().flat_map(|body| body.lines().iter()) {
            let most = lines.entry(sku).or_default();
            *most = units.max(*most);
        }
        lines
    }

    /// The decision, if it belongs to the sale.
    pub(crate) fn of_the_sale(&self) -> Option<&Decision> {
        self.decision.as_ref().filter(|it| !it.of_the_audit)
    }
}

impl History {
    /// The exchanges that it was made of, in no order. A run has many: nobody keeps them twice.
    pub(crate) fn into_exchanges(self) -> Vec<Exchange> {
        let asked = self.entries.into_iter().flat_map(|it| it.replies.into_iter().chain(it.strangers));
        let about = self.holds.into_iter().flat_map(|it| it.replies).chain(self.astray);
        asked.chain(about).map(Reply::into_exchange).collect()
    }

    /// The entry that a hold was granted to.
    pub(crate) fn entry(&self, hold: &Hold) -> &Entry {
        &self.entries[hold.entry]
    }

    /// Units of the sale that were confirmed, by SKU, as far as buyers were told.
    pub(crate) fn sold(&self) -> BTreeMap<Sku, u64> {
        let mut sold: BTreeMap<Sku, u64> = self.facts.supply.keys().map(|sku| (*sku, 0)).collect();
        let confirmed = self.holds.iter().filter(|it| it.is_confirmed());
        for (sku, units) in confirmed.flat_map(|it| it.lines.iter()) {
            *sold.entry(sku).or_default() += u64::from(units);
        }
        sold
    }
}
