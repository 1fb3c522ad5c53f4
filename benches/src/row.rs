//! One row of a table of measurements: a value, its peer in the same run, the goal, and whether it was met.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A row as it is printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) row: String,
    /// What was measured; nothing if it could not be.
    pub(crate) value: Option<f64>,
    /// In what.
    pub(crate) unit: String,
    /// What it is held against, if anything.
    pub(crate) peer: Option<String>,
    /// What that reached in the same run.
    pub(crate) peer_value: Option<f64>,
    /// Value through peer value.
    pub(crate) ratio: Option<f64>,
    /// What must be reached.
    pub(crate) goal: String,
    /// Whether it was.
    pub(crate) met: bool,
    /// How it came about, for people.
    pub(crate) detail: Map<String, Value>,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What a row must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The value, or more.
    AtLeast(f64),
    /// The value, or less.
    AtMost(f64),
    /// So many times the peer, or more.
    TimesPeerAtLeast(f64),
    /// So many times the peer, or less.
    TimesPeerAtMost(f64),
    /// The peer and so much more, or less.
    AbovePeerAtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64, peer: Option<f64>) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::TimesPeerAtLeast(times) => peer.is_some_and(|peer| value >= times * peer),
            Self::TimesPeerAtMost(times) => peer.is_some_and(|peer| value <= times * peer),
            Self::AbovePeerAtMost(more) => peer.is_some_and(|peer| value <= peer + more),
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", plain(least)),
            Self::AtMost(most) => format!("<= {}", plain(most)),
            Self::TimesPeerAtLeast(times) => format!(">= {times} x peer"),
            Self::TimesPeerAtMost(times) => format!("<= {times} x peer"),
            Self::AbovePeerAtMost(more) => format!("<= peer + {}", plain(more)),
        }
    }
}

/// The first measurement of a row, to be completed.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    row: &'static str,
    value: f64,
    unit: &'static str,
    peer: Option<(&'static str, f64)>,
    detail: Map<String, Value>,
    proven: bool,
}

impl Measured {
    /// A value.
    pub(crate) fn new(row: &'static str, value: f64, unit: &'static str) -> Self {
        Self { row, value, unit, peer: None, detail: Map::new(), proven: true }
    }

    /// What it is held against.
    pub(crate) fn peer(mut self, name: &'static str, value: f64) -> Self {
        self.peer = Some((name, value));
        self
    }

    /// Something worth knowing about it.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let value = value.as_f64().filter(|_| value.is_f64()).map_or(value, |number| rounded(number).into());
        self.detail.insert(name.to_owned(), value);
        self
    }

    /// Something that must hold beside the goal.
    pub(crate) const fn provided(mut self, holds: bool) -> Self {
        self.proven &= holds;
        self
    }

    /// The row; all of the goals must be met. Without one the row is only reported.
    pub(crate) fn goals(self, goals: &[Goal]) -> Row {
        let peer_value = self.peer.map(|(_, value)| value);
        let met = self.proven && goals.iter().all(|goal| goal.is_met(self.value, peer_value));
        let texts: Vec<String> = goals.iter().map(|goal| goal.text()).collect();
        Row {
            row: self.row.to_owned(),
            value: Some(rounded(self.value)),
            unit: self.unit.to_owned(),
            peer: self.peer.map(|(name, _)| name.to_owned()),
            peer_value: peer_value.map(rounded),
            ratio: peer_value.filter(|peer| *peer != 0.0).map(|peer| rounded(self.value / peer)),
            goal: if texts.is_empty() { "reported".to_owned() } else { texts.join(" and ") },
            met,
            detail: self.detail,
            error: None,
        }
    }
}

impl Row {
    /// A row that could not be measured.
    pub(crate) fn failed(row: &str, why: String) -> Self {
        Self {
            row: row.to_owned(),
            value: None,
            unit: String::new(),
            peer: None,
            peer_value: None,
            ratio: None,
            goal: String::new(),
            met: false,
            detail: Map::new(),
            error: Some(why),
        }
    }
}

/// Four digits that mean something; a measurement has no more.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 3.0 - value.abs().log10().floor();
    if digits <= 0.0 {
        return value.round();
    }
    let scale = 10f64.powf(digits);
    (value * scale).round() / scale
}

/// A number for people: with thousands apart, and no more digits than it needs.
pub(crate) fn plain(value: f64) -> String {
    let value = rounded(value);
    let text = format!("{value}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |parts| parts);
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_must_be_met() {
        let measured = |value| Measured::new("r", value, "x/s").peer("p", 100.0);
        let goals = [Goal::AtLeast(50.0), Goal::TimesPeerAtLeast(0.6)];
        assert!(measured(60.0).goals(&goals).met);
        assert!(!measured(59.0).goals(&goals).met);
        assert!(!measured(49.0).goals(&[Goal::AtLeast(50.0)]).met);
        assert!(!measured(60.0).provided(false).goals(&goals).met);
        let row = measured(60.0).goals(&goals);
        assert_eq!((row.ratio, row.goal.as_str()), (Some(0.6), ">= 50 and >= 0.6 x peer"));
    }

    #[test]
    fn less_is_better_where_the_goal_says_so() {
        let measured = |value| Measured::new("r", value, "ms").peer("p", 4.0);
        assert!(measured(6.0).goals(&[Goal::AbovePeerAtMost(2.0)]).met);
        assert!(!measured(6.1).goals(&[Goal::AbovePeerAtMost(2.0)]).met);
        assert!(measured(8.0).goals(&[Goal::TimesPeerAtMost(2.0)]).met);
        assert!(!measured(8.1).goals(&[Goal::TimesPeerAtMost(2.0)]).met);
        assert!(!measured(8.1).goals(&[Goal::AtMost(8.0)]).met);
    }

    #[test]
    fn a_goal_against_a_peer_is_not_met_without_one() {
        let alone = Measured::new("r", 1.0, "x");
        assert!(!alone.clone().goals(&[Goal::TimesPeerAtLeast(0.5)]).met);
        assert!(!alone.goals(&[Goal::AbovePeerAtMost(5.0)]).met);
    }

    #[test]
    fn a_row_has_the_fields_that_readers_count_on() {
        let row = Measured::new("r", 1.0, "x").goals(&[Goal::AtMost(2.0)]);
        let json = serde_json::to_value(&row).expect("a row is JSON");
        for field in ["row", "value", "unit", "peer", "peer_value", "ratio", "goal", "met"] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(serde_json::from_value::<Row>(json).expect("and back"), row);
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!(plain(12_345_678.0), "12,345,678");
        assert_eq!(plain(0.123_456), "0.1235");
        assert_eq!(plain(98.765_43), "98.77");
        assert_eq!(plain(-1_000.0), "-1,000");
    }
}
