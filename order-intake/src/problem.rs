//! Problem details (RFC 9457): every refusal and fault in one form, with a code that never changes.

use std::borrow::Cow;

use holdfast_contracts::decision::Reason;
use holdfast_contracts::{Position, ReservationId};

use crate::answer::Name;

/// A kind of problem. Clients tell them apart by `code`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
}

macro_rules! kinds {
    ($($name:ident $status:literal $slug:literal $title:literal;)*) => {
        $(pub(crate) static $name: Kind =
            Kind { code: stringify!($name), status: $status, slug: $slug, title: $title };)*

        /// Every kind there is.
        pub(crate) static ALL: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    INVALID_REQUEST 400 "invalid-request" "The request breaks a rule.";
    IDEMPOTENCY_KEY_REQUIRED 400 "idempotency-key-required" "An Idempotency-Key is required.";
    LINES_IN_SEVERAL_PARTITIONS 400 "lines-in-several-partitions" "These SKUs cannot be reserved together.";
    UNAUTHENTICATED 401 "unauthenticated" "A valid token is required.";
    FORBIDDEN 403 "forbidden" "The token does not allow this.";
    NOT_OWNER 403 "not-owner" "The reservation is somebody else's.";
    NOT_FOUND 404 "not-found" "There is nothing here.";
    UNKNOWN_SKU 404 "unknown-sku" "Nobody made this SKU known.";
    UNKNOWN_RESERVATION 404 "unknown-reservation" "No such reservation is remembered.";
    UNKNOWN_SALE 404 "unknown-sale" "Nobody made this sale known.";
    METHOD_NOT_ALLOWED 405 "method-not-allowed" "This cannot be done here.";
    REQUEST_TIMEOUT 408 "request-timeout" "The body took too long to arrive.";
    IDEMPOTENCY_CONFLICT 409 "idempotency-conflict" "The Idempotency-Key was used for another request.";
    PURCHASE_LIMIT 409 "purchase-limit" "More units than one customer, or one reservation, may have.";
    ALREADY_CONFIRMED 409 "already-confirmed" "The units are sold.";
    STILL_WAITING 409 "still-waiting" "The reservation still stands in line.";
    EXTEND_LIMIT 409 "extend-limit" "The hold cannot be extended that far.";
    DIFFERENT_SALES 409 "different-sales" "The lines belong to different sales.";
    STOCK_CHANGED 409 "stock-changed" "The stock is not what was expected.";
    STOCK_BELOW_PROMISED 409 "stock-below-promised" "The cut goes below what is promised.";
    SKU_IN_OTHER_SALE 409 "sku-in-other-sale" "A SKU is in another sale that is not closed.";
    SKU_IN_USE 409 "sku-in-use" "A SKU leaves the sale while units of it are held.";
    SALE_STATE 409 "sale-state" "The sale is in a state from which this cannot be done.";
    SALE_CLOSED 410 "sale-closed" "The sale is over.";
    EXPIRED 410 "expired" "The deadline has passed.";
    RELEASED 410 "released" "The units were given back.";
    BODY_TOO_LARGE 413 "body-too-large" "The body is larger than allowed.";
    UNSUPPORTED_MEDIA_TYPE 415 "unsupported-media-type" "The body must be application/json, in UTF-8 and not compressed.";
    INSUFFICIENT_STOCK 422 "insufficient-stock" "Fewer units are left than asked for.";
    SALE_NOT_OPEN 425 "sale-not-open" "The sale is not open yet.";
    SALE_PAUSED 425 "sale-paused" "The sale is paused.";
    TOO_MANY_REQUESTS 429 "too-many-requests" "The customer asks too often.";
    OVERLOADED 503 "overloaded" "Too much is waiting already; nothing was decided.";
    DISK_FULL 503 "disk-full" "There is no room for new commands; nothing was decided.";
    UNAVAILABLE 503 "unavailable" "The service cannot decide now; nothing was decided.";
    OUTCOME_UNKNOWN 503 "outcome-unknown" "It is not known whether the request was taken; repeat it with the same key.";
    UNAUTHENTICATED_CONTROL 503 "unauthenticated-control" "The service is not trusted with operators' commands; nothing was decided.";
    MEMORY_FULL 503 "memory-full" "The service remembers as much as it can; nothing was decided.";
}

impl Kind {
    /// Whether a refusal of this kind is remembered under the reservation's id, which can be looked up then.
    pub(crate) fn is_remembered(&self) -> bool {
        ![&IDEMPOTENCY_CONFLICT, &MEMORY_FULL, &UNAUTHENTICATED_CONTROL].contains(&self) && self.status != 403
    }

    /// The kind that a refusal is told as.
    pub(crate) fn of(reason: Reason) -> &'static Self {
        match reason {
            Reason::Invalid => &INVALID_REQUEST,
            Reason::UnknownSku => &UNKNOWN_SKU,
            Reason::SaleNotOpen => &SALE_NOT_OPEN,
            Reason::SalePaused => &SALE_PAUSED,
            Reason::SaleClosed => &SALE_CLOSED,
            Reason::DifferentSales => &DIFFERENT_SALES,
            Reason::PurchaseLimit => &PURCHASE_LIMIT,
            Reason::InsufficientStock => &INSUFFICIENT_STOCK,
            Reason::IdReused => &IDEMPOTENCY_CONFLICT,
            Reason::UnknownReservation => &UNKNOWN_RESERVATION,
            Reason::NotOwner => &NOT_OWNER,
            Reason::Expired => &EXPIRED,
            Reason::Released => &RELEASED,
            Reason::AlreadyConfirmed => &ALREADY_CONFIRMED,
            Reason::StillWaiting => &STILL_WAITING,
            Reason::ExtendLimit => &EXTEND_LIMIT,
            Reason::StockChanged => &STOCK_CHANGED,
            Reason::StockBelowPromised => &STOCK_BELOW_PROMISED,
            Reason::UnknownSale => &UNKNOWN_SALE,
            Reason::SkuInOtherSale => &SKU_IN_OTHER_SALE,
            Reason::SkuInUse => &SKU_IN_USE,
            Reason::SaleState => &SALE_STATE,
            Reason::Full => &MEMORY_FULL,
            Reason::UnauthenticatedControl => &UNAUTHENTICATED_CONTROL,
        }
    }
}

/// A rule that a part of the request breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer into the body; empty for the whole of it.
    pub(crate) pointer: String,
    /// Where the part is, if it is not in the body.
    pub(crate) elsewhere: Option<Elsewhere>,
    pub(crate) detail: Cow<'static, str>,
}

/// A part of a request that no pointer points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The header of this name.
    Header(&'static str),
    /// The variable of the path that has this name in the documentation.
    Path(Cow<'static, str>),
}

/// What is told to a client whose request cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: &'static Kind,
    pub(crate) detail: Cow<'static, str>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) retry_after_s: Option<u32>,
    /// What goes with a refusal of the machine.
    pub(crate) refusal: Option<Box<Refusal>>,
}

/// A refusal of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The SKU to blame, and a number that goes with the reason.
    pub(crate) sku: Option<Name>,
    pub(crate) value: Option<(&'static str, u64)>,
    /// What was decided about which reservation, where, and by whom.
    pub(crate) reservation: Option<ReservationId>,
    pub(crate) decided: Option<(Position, DecidedBy)>,
    /// It is the first answer again.
    pub(crate) replay: bool,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecidedBy {
    /// The machine, as a command in the log; the decision is remembered.
    Sequencer,
    /// The machine was only asked. Nothing is remembered.
    Gate,
}

impl DecidedBy {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sequencer => "sequencer",
            Self::Gate => "gate",
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after_s = match kind.status {
            429 | 503 => Some(1),
            _ => None,
        };
        Self { kind, detail: detail.into(), faults: Vec::new(), retry_after_s, refusal: None }
    }

    pub(crate) fn plain(kind: &'static Kind) -> Self {
        Self::new(kind, "")
    }

    /// One rule broken, in the part of the body that `pointer` points to.
    pub(crate) fn at(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::fault(pointer.into(), None, detail.into())
    }

    /// One rule broken, in a header.
    pub(crate) fn in_header(name: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::fault(String::new(), Some(Elsewhere::Header(name)), detail.into())
    }

    /// One rule broken, in a variable of the path.
    pub(crate) fn in_path(name: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::fault(String::new(), Some(Elsewhere::Path(name.into())), detail.into())
    }

    fn fault(pointer: String, elsewhere: Option<Elsewhere>, detail: Cow<'static, str>) -> Self {
        let mut problem = Self::new(&INVALID_REQUEST, detail.clone());
        problem.faults.push(Fault { pointer, elsewhere, detail });
        problem
    }

    /// The same problem, told as another kind.
    pub(crate) fn told_as(self, kind: &'static Kind) -> Self {
        Self { kind, ..self }
    }

    /// A refusal of the machine, and what goes with it.
    pub(crate) fn refused(reason: Reason, refusal: Refusal) -> Self {
        Self { refusal: Some(Box::new(refusal)), ..Self::plain(Kind::of(reason)) }
    }
}

impl Refusal {
    /// The SKU to blame, and the number that goes with the reason, under its name.
    pub(crate) fn of(reason: Reason, sku: Option<Name>, value: u64) -> Self {
        let name = match reason {
            Reason::PurchaseLimit => "allowed",
            Reason::InsufficientStock => "available",
            Reason::ExtendLimit => "allowed_ms",
            Reason::StockChanged => "on_hand",
            Reason::StockBelowPromised => "reducible",
            _ => return Self { sku, ..Self::default() },
        };
        Self { sku, value: Some((name, value)), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_slugs_are_unique_and_name_each_other() {
        for (at, kind) in ALL.iter().enumerate() {
            assert_eq!(kind.slug, kind.code.to_lowercase().replace('_', "-"));
            assert!(ALL[..at].iter().all(|other| other.code != kind.code));
            assert!((400..600).contains(&kind.status));
        }
    }

    #[test]
    fn every_reason_has_a_kind() {
        for reason in Reason::ALL {
            assert!(ALL.contains(&Kind::of(reason)));
        }
    }
}
