//! Books go from process to process, and from clock to clock.

use std::time::Duration;

use super::{
    Answer, Ask, Body, Code, Customer, DecidedBy, Exchange, Key, Moment, Position, Sku, State, Told,
};

fn asks() -> Vec<Ask> {
    let key = Key { customer: Customer(7), serial: u32::MAX };
    let reservation = || "0001-ab".into();
    vec![
        Ask::Reserve { key, body: Body::one(Sku(0), 1) },
        Ask::Reserve { key, body: Body::up_to(Sku(u16::MAX), u32::MAX) },
        Ask::Reserve { key, body: Body::of(&[(Sku(4), 1), (Sku(3), 2), (Sku(2), 3), (Sku(1), 4)]) },
        Ask::Confirm { reservation: reservation() },
        Ask::Release { reservation: reservation() },
        Ask::Read { reservation: reservation() },
    ]
}

fn answers() -> Vec<Answer> {
    let position = Position { partition: 3, offset: u64::MAX, index: 2 };
    let codes = [
        Code::InsufficientStock,
        Code::PurchaseLimit,
        Code::IdempotencyConflict,
        Code::Expired,
        Code::Released,
        Code::AlreadyConfirmed,
        Code::NotFound,
    ];
    let states =
        [State::Held, State::Paying, State::Confirmed, State::Released, State::Expired, State::Waiting];
    let mut answers = vec![
        Answer::Pending,
        Answer::Busy,
        Answer::Silence,
        Answer::Odd { status: 500, what: "\u{fc}ber".into() },
    ];
    for told in [Told::First, Told::Again] {
        for as_asked in [true, false] {
            answers.push(Answer::Granted { reservation: "".into(), units: 2, as_asked, position, told });
        }
        for (code, by) in
            codes.into_iter().flat_map(|code| [(code, DecidedBy::Sequencer), (code, DecidedBy::Gate)])
        {
            answers.push(Answer::Refused { code, by, position: Some(position), told });
            answers.push(Answer::Refused { code, by, position: None, told });
        }
    }
    answers.extend(states.map(|state| Answer::Stands { reservation: "x".into(), state }));
    answers
}

#[test]
fn what_is_sent_to_another_process_is_read_there_as_it_was_written() {
    for ask in asks() {
        for answer in answers() {
            let written = Exchange { sent: Moment(0), received: Moment::NEVER, ask: ask.clone(), answer };
            let bytes = postcard::to_stdvec(&written).unwrap();
            assert_eq!(postcard::from_bytes::<Exchange>(&bytes).unwrap(), written);
        }
    }
}

#[test]
fn another_clock_shifts_both_moments_and_widens_what_is_between() {
    let exchange = |sent, received| Exchange {
        sent: Moment(sent),
        received: Moment(received),
        ask: Ask::Read { reservation: "a".into() },
        answer: Answer::Silence,
    };
    let uncertain = Duration::from_nanos(10);
    for ((sent, received), by, (from, to)) in [
        ((100, 200), 50, (140, 260)),
        ((100, 200), -50, (40, 160)),
        ((100, 200), -95, (0, 115)),
        ((100, 200), -500, (0, 10)),
        ((100, u64::MAX), 50, (140, u64::MAX)),
        ((100, 200), i64::MIN, (0, 10)),
    ] {
        let shifted = exchange(sent, received).shifted(by, uncertain);
        assert_eq!(shifted, exchange(from, to), "{sent} to {received}, by {by}");
    }
}
