//! RESERVE-1 as the peer's records have it, and what its results must be.

use std::collections::BTreeMap;

use holdfast_benches::pipeline::Result;
use holdfast_benches::work::splitmix64;

/// The SKU, which is the key of every record.
pub(crate) const SKU: &[u8] = b"SNEAKER-42";

const OPEN: u8 = 2;
const RESERVE: u8 = 1;
const REPLAY: u8 = 0x40;
const RESULT_BYTES: usize = 17;

/// What an id was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Reserved,
    SoldOut,
    OverLimit,
    IdReused,
    Expired,
}

/// One result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Number of the request.
    pub(crate) request: u64,
    pub(crate) outcome: Outcome,
    /// The first answer again.
    pub(crate) replay: bool,
}

/// A record that opens the sale.
pub(crate) fn opening(units: u64, ttl_ms: u64, per_customer_max: u32) -> Vec<u8> {
    let mut record = vec![OPEN];
    record.extend_from_slice(&units.to_be_bytes());
    record.extend_from_slice(&ttl_ms.to_be_bytes());
    record.extend_from_slice(&per_customer_max.to_be_bytes());
    record
}

/// A record of requests for one unit each, every one with an id and a customer of its own.
pub(crate) fn requests(first: u64, count: u64, record: &mut Vec<u8>) {
    record.clear();
    record.push(RESERVE);
    for number in first..first + count {
        request(number, splitmix64(number ^ 0x5bd1_e995), 1, record);
    }
}

/// One request. Ids of numbers that follow one another lie anywhere.
pub(crate) fn request(number: u64, customer: u64, quantity: u32, record: &mut Vec<u8>) {
    record.extend_from_slice(&splitmix64(number).to_be_bytes());
    record.extend_from_slice(&number.to_be_bytes());
    record.extend_from_slice(&customer.to_be_bytes());
    record.extend_from_slice(&quantity.to_be_bytes());
}

/// Reads a result record.
pub(crate) fn answers(record: &[u8]) -> impl Iterator<Item = Result<Answer>> + '_ {
    record.chunks(RESULT_BYTES).map(|result| {
        let [id @ .., outcome] = result else { return Err("an empty result".into()) };
        let (random, number) = id.split_first_chunk::<8>().ok_or("a short id")?;
        let number: [u8; 8] = number.try_into()?;
        let request = u64::from_be_bytes(number);
        if u64::from_be_bytes(*random) != splitmix64(request) {
            return Err(format!("nobody asked under the id of {request}").into());
        }
        let (replay, outcome) = (outcome & REPLAY != 0, outcome & !REPLAY);
        let outcome = match outcome {
            1 => Outcome::Reserved,
            2 => Outcome::SoldOut,
            3 => Outcome::OverLimit,
            4 => Outcome::IdReused,
            5 => Outcome::Expired,
            other => return Err(format!("no outcome is {other}").into()),
        };
        Ok(Answer { request, outcome, replay })
    })
}

/// Answers by request, and whether they are what they must be.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    first: BTreeMap<u64, Outcome>,
    /// Answers that repeat the first one.
    pub(crate) repeated: u64,
    reserved: u64,
    pub(crate) expired: u64,
}

impl Ledger {
    /// One more answer. `again` says whether a request may be answered a second time although nobody asked again: what
    /// was not committed before a crash is done again.
    pub(crate) fn take(&mut self, answer: Answer, again: bool) -> Result<()> {
        let Answer { request, outcome, replay } = answer;
        if outcome == Outcome::Expired {
            if self.first.get(&request) != Some(&Outcome::Reserved) {
                return Err(format!("{request} expired and was never reserved").into());
            }
            self.expired += 1;
            return Ok(());
        }
        let Some(before) = self.first.get(&request) else {
            // After a crash the first answer may be lost while the id is remembered.
            if replay && !again {
                return Err(format!("the first answer to {request} says that it is not the first").into());
            }
            self.first.insert(request, outcome);
            self.reserved += u64::from(outcome == Outcome::Reserved);
            return Ok(());
        };
        if outcome == Outcome::IdReused {
            return Ok(());
        }
        if *before != outcome || !(replay || again) {
            return Err(format!("{request} was answered {before:?} and then {outcome:?}").into());
        }
        self.repeated += 1;
        Ok(())
    }

    /// Requests answered.
    pub(crate) fn answered(&self) -> u64 {
        self.first.len() as u64
    }

    /// Whether this request, or a later one, was answered.
    pub(crate) fn has_answered(&self, request: u64) -> bool {
        self.first.last_key_value().is_some_and(|(last, _)| *last >= request)
    }

    /// Requests granted.
    pub(crate) const fn reserved(&self) -> u64 {
        self.reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(number: u64, outcome: u8) -> Vec<u8> {
        let mut record = Vec::new();
        request(number, 1, 1, &mut record);
        record.truncate(16);
        record.push(outcome);
        record
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let record = [result(7, 1), result(8, 2 | REPLAY)].concat();
        let read: Vec<Answer> = answers(&record).map(|answer| answer.expect("a result")).collect();
        assert_eq!(read[0], Answer { request: 7, outcome: Outcome::Reserved, replay: false });
        assert_eq!(read[1], Answer { request: 8, outcome: Outcome::SoldOut, replay: true });
        let mut wrong = result(7, 1);
        wrong[0] ^= 1;
        assert!(answers(&wrong).all(|answer| answer.is_err()));
        assert!(answers(&result(7, 9)).all(|answer| answer.is_err()));
        assert!(answers(&record[..20]).any(|answer| answer.is_err()));
    }

    #[test]
    fn a_request_is_answered_once_and_then_only_repeated() {
        let reserved = Answer { request: 1, outcome: Outcome::Reserved, replay: false };
        let mut ledger = Ledger::default();
        assert!(ledger.take(reserved, false).is_ok());
        assert!(ledger.take(reserved, false).is_err(), "answered twice");
        assert!(ledger.take(Answer { outcome: Outcome::SoldOut, replay: true, ..reserved }, false).is_err());
        assert!(ledger.take(Answer { replay: true, ..reserved }, false).is_ok());
        assert!(ledger.take(reserved, true).is_ok(), "after a crash");
        assert!(ledger.take(Answer { request: 2, replay: true, ..reserved }, false).is_err());
        assert!(ledger.take(Answer { request: 3, outcome: Outcome::Expired, replay: false }, false).is_err());
        assert!(ledger.take(Answer { outcome: Outcome::Expired, ..reserved }, false).is_ok());
        assert_eq!((ledger.answered(), ledger.reserved(), ledger.repeated, ledger.expired), (1, 1, 2, 1));
    }
}
