//! Changes that are too much, as people write them.

use std::fmt;
use std::str::FromStr;

use super::{Change, Condition, Metric, Row};

/// A change that is too much. It is read from text:
///
/// ```text
/// change    = [ operation ":" ] metric ( ">" | "<" ) limit
/// operation = "all" | "reserve" | "confirm" | "release" | "look" | ...     all, if left out
/// metric    = "p50" | "p90" | "p99" | "p999" | "max" | "mean"              latency felt, from when requests were due
///           | "took_" latency                                              the same from when they were sent
///           | "rate" | "error_rate" | "dropped"                            the last two are of the whole run
/// limit     = ( "+" | "-" ) number [ "%" | "ms" ]
/// ```
///
/// With `%` the limit is a share of the first run's figure, without it an amount; that of a latency needs `ms`. The sign is
/// never left out, because `p99>10ms` would read as a limit for the figure and not for its change.
#[derive(Debug, Clone, PartialEq)]
pub struct FailIf {
    text: String,
    operation: String,
    metric: Metric,
    is_above: bool,
    limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Percent(f64),
    Amount(f64),
}

/// Why a change cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {why}")]
pub struct FailIfError {
    text: String,
    why: String,
}

impl FromStr for FailIf {
    type Err = FailIfError;

    fn from_str(text: &str) -> Result<Self, FailIfError> {
        parse(text).map_err(|why| FailIfError { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<FailIf, String> {
    let bare: String = text.chars().filter(|it| !it.is_whitespace()).collect();
    let at = bare.find(['<', '>']).ok_or("no `>` or `<` in it, as in `p99>+10%`")?;
    let (subject, rest) = bare.split_at(at);
    let is_above = rest.starts_with('>');
    let (operation, name) = match subject.split_once(':') {
        Some((operation, name)) => (Some(operation), name),
        None => (None, subject),
    };
    let metric = Metric::named(name).ok_or_else(|| {
        format!(
            "no figure is called `{name}`; there are p50, p90, p99, p999, max, mean, the same after `took_`, rate, \
             error_rate and dropped"
        )
    })?;
    if operation == Some("") {
        return Err("there is no operation before the `:`".to_owned());
    }
    if operation.is_some_and(|it| it != "all") && !metric.is_of_an_operation() {
        return Err(format!("`{name}` is of the whole run and not of one operation"));
    }
    Ok(FailIf {
        text: text.to_owned(),
        operation: operation.unwrap_or("all").to_owned(),
        metric,
        is_above,
        limit: limit(&rest[1..], metric)?,
    })
}

fn limit(text: &str, metric: Metric) -> Result<Limit, String> {
    if !text.starts_with(['+', '-']) {
        return Err("the limit is for the change and needs its sign, as `+10%`".to_owned());
    }
    let end = text.rfind(|it: char| it.is_ascii_digit()).map_or(0, |at| at + 1);
    let (figure, unit) = text.split_at(end);
    let is_plain = figure[1.min(end)..].chars().all(|it| it.is_ascii_digit() || it == '.');
    let figure = figure.parse().ok().filter(|_| is_plain).ok_or_else(|| format!("`{text}` has no number"))?;
    match (unit, metric.is_latency()) {
        ("%", _) => Ok(Limit::Percent(figure)),
        ("ms", true) | ("", false) => Ok(Limit::Amount(figure)),
        (_, true) => Err("the limit of a latency is in `%` or `ms`".to_owned()),
        (_, false) => Err(format!("the limit of `{metric}` is in `%`, or without a unit")),
    }
}

impl FailIf {
    /// Which requests it is about.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Which figure it is about.
    #[must_use]
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// Looks at the figure; nothing if it was not measured in both runs.
    pub(super) fn judge(&self, row: &Row) -> Option<Condition> {
        let (a, b, delta) = (row.a?, row.b?, row.delta?);
        let (change, limit) = match self.limit {
            Limit::Amount(limit) => (delta, limit),
            Limit::Percent(limit) => (100.0 * relative(a, delta), limit),
        };
        let holds = if self.is_above { change > limit } else { change < limit };
        let unit = self.metric.unit();
        let percent = row.delta_percent.map_or_else(String::new, |it| format!(", {it:+.1} %"));
        let doubt = match row.change {
            _ if !holds => "",
            Change::Noise => " That may be noise.",
            Change::Unknown => " Too little was measured to tell it from noise.",
            Change::Higher | Change::Lower => "",
        };
        let mark = if holds { "TOO MUCH" } else { "fine" };
        let says = format!(
            "{mark}: {} {} went from {} to {} {unit}{percent}.{doubt}",
            row.operation,
            row.metric,
            row.metric.write(a),
            row.metric.write(b)
        );
        Some(Condition { that: self.text.clone(), holds, says: says.replace(" .", ".").replace(" ,", ",") })
    }
}

/// Anything more than nothing is more than any share of nothing.
fn relative(a: f64, delta: f64) -> f64 {
    if delta == 0.0 { 0.0 } else { delta / a }
}

impl fmt::Display for FailIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, a: f64, b: f64) -> bool {
        let fail_if: FailIf = text.parse().unwrap();
        let row = Row {
            operation: fail_if.operation().to_owned(),
            metric: fail_if.metric(),
            a: Some(a),
            b: Some(b),
            delta: Some(b - a),
            delta_percent: (a != 0.0).then(|| 100.0 * (b - a) / a),
            interval: None,
            change: Change::Unknown,
        };
        fail_if.judge(&row).unwrap().holds
    }

    #[test]
    fn a_change_is_too_much_beyond_its_limit_and_not_at_it() {
        for (text, a, b, wanted) in [
            ("p99>+10%", 10.0, 11.0, false),
            ("p99>+10%", 10.0, 11.1, true),
            ("p99>+10%", 10.0, 5.0, false),
            ("reserve:p99>+2ms", 10.0, 11.9, false),
            ("reserve:p99 > +2 ms", 10.0, 12.5, true),
            ("error_rate>+0.01", 0.0, 0.02, true),
            ("rate<-5%", 1_000.0, 960.0, false),
            ("rate<-5%", 1_000.0, 940.0, true),
            ("dropped>+0%", 0.0, 0.0, false),
            ("dropped>+1000%", 0.0, 1.0, true),
            ("look:took_p50>-5%", 10.0, 9.9, true),
        ] {
            assert_eq!(holds(text, a, b), wanted, "{text} from {a} to {b}");
        }
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        for (text, word) in [
            ("p99", "no `>`"),
            ("p98>+1%", "`p98`"),
            ("p99>10%", "sign"),
            ("p99>+10", "`ms`"),
            ("rate<-5ms", "without a unit"),
            ("p99>+%", "no number"),
            ("p99>+-1%", "no number"),
            ("p99>+1e9%", "no number"),
            ("p99>+inf%", "no number"),
            ("reserve:dropped>+1", "whole run"),
            (":p99>+1%", "no operation"),
        ] {
            let error = text.parse::<FailIf>().expect_err(text).to_string();
            assert!(error.contains(word), "{error} does not say {word}");
        }
    }
}
