//! Buyers over HTTP, each of whom waits for an answer and asks again at once.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::wording::Wording;
use crate::books::{Moment, Position};
use crate::generator::{Head, Script, Times, Wheel};
use crate::peers::told::{Feed, Told};
use crate::peers::work::{Answer, Outcome, Work};

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// No more of an unexpected answer is told.
const EXCERPT_CHARS_MAX: usize = 200;

/// What everybody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The feed hands out requests.
    Reserve,
    /// The feed hands out customers, who look at the shelf.
    Look,
}

/// All buyers of one thread.
pub(super) struct Buyer {
    what: What,
    work: Work,
    feed: Arc<Feed>,
    wording: Arc<Wording>,
    pub(super) told: Told,
}

impl Buyer {
    pub(super) fn new(what: What, work: Work, feed: Arc<Feed>, wording: Arc<Wording>) -> Self {
        Self { what, work, feed, wording, told: Told::new() }
    }
}

impl Script for Buyer {
    /// What the feed handed out.
    type Job = u64;

    fn next(&mut self, now: Moment, _: &mut Wheel<u64>) -> Option<(Moment, u64)> {
        Some((now, self.feed.take()?))
    }

    fn write(&mut self, number: &u64, request: &mut Vec<u8>) {
        match self.what {
            What::Reserve => self.wording.reserve(&self.work.request(*number), request),
            What::Look => self.wording.look(number + 1, request),
        }
    }

    fn patience(&self, _: &u64) -> Duration {
        PATIENCE
    }

    fn done(&mut self, number: u64, times: Times, told: Option<(&Head, &[u8])>, _: &mut Wheel<u64>) {
        let answer = match (self.what, told) {
            (_, None) => Err("silence".to_owned()),
            (What::Reserve, Some((head, body))) => understand(head, body),
            (What::Look, Some((Head { status: 200, .. }, _))) => {
                Ok(Answer { outcome: Outcome::Granted, mark: 0, again: false })
            }
            (What::Look, Some((head, body))) => Err(excerpt(head, body)),
        };
        self.told.note(number, answer, times.done.since(times.sent));
    }
}

/// The members of an answer that matter.
#[derive(Deserialize)]
struct Said<'a> {
    state: Option<&'a str>,
    code: Option<&'a str>,
    position: Option<Position>,
    decided_by: Option<&'a str>,
}

fn understand(head: &Head, body: &[u8]) -> Result<Answer, String> {
    let odd = || excerpt(head, body);
    let said: Said<'_> = serde_json::from_slice(body).map_err(|_| odd())?;
    let outcome = match (head.status, said.state, said.code) {
        (201, Some("held"), _) if !head.is_replay => Outcome::Granted,
        (200, Some("held"), _) if head.is_replay => Outcome::Granted,
        (422, _, Some("INSUFFICIENT_STOCK")) => Outcome::SoldOut,
        (409, _, Some("PURCHASE_LIMIT")) => Outcome::OverLimit,
        _ => return Err(odd()),
    };
    let position = said.position.filter(|_| said.decided_by == Some("sequencer")).ok_or_else(odd)?;
    // Where a refusal was decided is not remembered, by contract.
    let mark = match outcome {
        Outcome::Granted => (position.offset << 20) | u64::from(position.index),
        Outcome::SoldOut | Outcome::OverLimit => 0,
    };
    Ok(Answer { outcome, mark, again: head.is_replay })
}

fn excerpt(head: &Head, body: &[u8]) -> String {
    let body: String = String::from_utf8_lossy(body).chars().take(EXCERPT_CHARS_MAX).collect();
    format!("{}: {body}", head.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Body;

    fn told(status: u16, is_replay: bool, body: &str) -> Result<Answer, String> {
        let head = Head { status, is_replay, retry_after: None, stays_open: true, body: Body::In(0..0) };
        understand(&head, body.as_bytes())
    }

    #[test]
    fn a_decision_is_told_by_status_and_code() {
        let position = r#""position":{"partition":3,"offset":2,"index":5},"decided_by":"sequencer""#;
        let held = format!(r#"{{"reservation_id":"a","state":"held",{position}}}"#);
        let granted = |again| Ok(Answer { outcome: Outcome::Granted, mark: (2 << 20) | 5, again });
        assert_eq!(told(201, false, &held), granted(false));
        assert_eq!(told(200, true, &held), granted(true));
        let refusal = |code| format!(r#"{{"code":"{code}",{position}}}"#);
        let refused = |outcome, again| Ok(Answer { outcome, mark: 0, again });
        let sold_out = refusal("INSUFFICIENT_STOCK");
        assert_eq!(told(422, false, &sold_out), refused(Outcome::SoldOut, false));
        assert_eq!(told(422, true, &sold_out), refused(Outcome::SoldOut, true));
        assert_eq!(told(409, false, &refusal("PURCHASE_LIMIT")), refused(Outcome::OverLimit, false));
    }

    #[test]
    fn whatever_decides_nothing_is_no_answer() {
        let gate = r#"{"code":"INSUFFICIENT_STOCK","position":{"partition":3,"offset":2,"index":5},"decided_by":"gate"}"#;
        for (status, is_replay, body) in [
            (422, false, gate),
            (202, false, r#"{"state":"pending"}"#),
            (503, false, r#"{"code":"OVERLOADED"}"#),
            (201, true, r#"{"state":"held"}"#),
            (201, false, "held"),
        ] {
            assert!(told(status, is_replay, body).is_err(), "{status} {body}");
        }
    }
}
