//! The numbers and names that stand in logs, and that other languages have as constants. They never change.

use holdfast_contracts::WireError;
use holdfast_contracts::decision::{HoldState, Reason, SaleState};
use holdfast_contracts_reference::inventory as pb;

#[test]
fn error_codes_never_change() {
    let wire = [
        (WireError::Truncated, 1),
        (WireError::VarintTooLong, 2),
        (WireError::BadFieldNumber, 3),
        (WireError::WrongWireType, 4),
        (WireError::DuplicateField, 5),
        (WireError::OutOfRange, 6),
        (WireError::NotUtf8, 7),
        (WireError::BadId, 8),
        (WireError::BadSku, 9),
        (WireError::TextTooLong, 10),
        (WireError::Empty, 11),
        (WireError::TooLarge, 12),
        (WireError::UnknownKind, 13),
        (WireError::MissingField, 14),
    ];
    for (error, code) in wire {
        assert_eq!(error.code(), code, "{error:?}");
    }
}

#[test]
fn reasons_never_change() {
    let reasons = [
        (Reason::Invalid, "REASON_INVALID"),
        (Reason::UnknownSku, "REASON_UNKNOWN_SKU"),
        (Reason::SaleNotOpen, "REASON_SALE_NOT_OPEN"),
        (Reason::SalePaused, "REASON_SALE_PAUSED"),
        (Reason::SaleClosed, "REASON_SALE_CLOSED"),
        (Reason::DifferentSales, "REASON_DIFFERENT_SALES"),
        (Reason::PurchaseLimit, "REASON_PURCHASE_LIMIT"),
        (Reason::InsufficientStock, "REASON_INSUFFICIENT_STOCK"),
        (Reason::IdReused, "REASON_ID_REUSED"),
        (Reason::UnknownReservation, "REASON_UNKNOWN_RESERVATION"),
        (Reason::NotOwner, "REASON_NOT_OWNER"),
        (Reason::Expired, "REASON_EXPIRED"),
        (Reason::Released, "REASON_RELEASED"),
        (Reason::AlreadyConfirmed, "REASON_ALREADY_CONFIRMED"),
        (Reason::StillWaiting, "REASON_STILL_WAITING"),
        (Reason::ExtendLimit, "REASON_EXTEND_LIMIT"),
        (Reason::StockChanged, "REASON_STOCK_CHANGED"),
        (Reason::StockBelowPromised, "REASON_STOCK_BELOW_PROMISED"),
        (Reason::UnknownSale, "REASON_UNKNOWN_SALE"),
        (Reason::SkuInOtherSale, "REASON_SKU_IN_OTHER_SALE"),
        (Reason::SkuInUse, "REASON_SKU_IN_USE"),
        (Reason::SaleState, "REASON_SALE_STATE"),
        (Reason::Full, "REASON_FULL"),
        (Reason::UnauthenticatedControl, "REASON_UNAUTHENTICATED_CONTROL"),
    ];
    assert_eq!(reasons.map(|(reason, _)| reason), Reason::ALL);
    for (code, (reason, name)) in (1..).zip(reasons) {
        assert_eq!(reason.code(), code, "{reason:?}");
        assert_eq!(Reason::from_code(code), Some(reason));
        let theirs = pb::Reason::try_from(code.cast_signed()).expect("a reason of the schema");
        assert_eq!(theirs.as_str_name(), name);
    }
    assert_eq!((Reason::from_code(0), Reason::from_code(25)), (None, None));
    assert!(pb::Reason::try_from(25).is_err(), "the schema has a reason that the codec lacks");
}

#[test]
fn states_never_change() {
    let holds = [
        (HoldState::Held, "HELD"),
        (HoldState::Paying, "PAYING"),
        (HoldState::Confirmed, "CONFIRMED"),
        (HoldState::Released, "RELEASED"),
        (HoldState::Expired, "EXPIRED"),
        (HoldState::Waiting, "WAITING"),
    ];
    for (code, (state, name)) in (1..).zip(holds) {
        assert_eq!(HoldState::from_code(code), Some(state));
        assert_eq!((state as u32, state.name()), (code, name.to_lowercase().as_str()));
        let theirs = pb::HoldState::try_from(code.cast_signed()).expect("a state of the schema");
        assert_eq!(theirs.as_str_name(), format!("HOLD_STATE_{name}"));
    }
    assert!(HoldState::from_code(7).is_none() && pb::HoldState::try_from(7).is_err());

    let sales = [
        (SaleState::Draft, "DRAFT"),
        (SaleState::Open, "OPEN"),
        (SaleState::Paused, "PAUSED"),
        (SaleState::Closed, "CLOSED"),
    ];
    for (code, (state, name)) in (1..).zip(sales) {
        assert_eq!(SaleState::from_code(code), Some(state));
        assert_eq!((state as u32, state.name()), (code, name.to_lowercase().as_str()));
        let theirs = pb::SaleState::try_from(code.cast_signed()).expect("a state of the schema");
        assert_eq!(theirs.as_str_name(), format!("SALE_STATE_{name}"));
    }
    assert!(SaleState::from_code(5).is_none() && pb::SaleState::try_from(5).is_err());
}
