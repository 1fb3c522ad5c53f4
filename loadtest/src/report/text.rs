//! Figures as people read them.

use std::time::{Duration, SystemTime};

/// A count with its thousands set apart.
pub(crate) fn count(it: u64) -> String {
    let digits = it.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with three digits that count, or all digits before the point.
pub(crate) fn number(it: f64) -> String {
    let size = it.abs();
    match size {
        _ if !size.is_finite() => it.to_string(),
        _ if size >= 100.0 => {
            let sign = if it < 0.0 { "-" } else { "" };
            // A figure beyond that is no figure of a run; it is cut off there.
            format!("{sign}{}", format!("{size:.0}").parse().map_or_else(|_| size.to_string(), count))
        }
        _ if size >= 10.0 => format!("{it:.1}"),
        _ if size >= 1.0 => format!("{it:.2}"),
        _ if size >= 0.1 => format!("{it:.3}"),
        _ if size >= 0.001 => format!("{it:.4}").trim_end_matches('0').to_owned(),
        _ if size > 0.0 => format!("{it:.1e}"),
        _ => "0".to_owned(),
    }
}

/// A time in milliseconds, with its unit.
pub(crate) fn milliseconds(it: f64) -> String {
    format!("{} ms", number(it))
}

/// A count of bytes, with its unit.
pub(crate) fn bytes(it: u64) -> String {
    let mut size = it as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1_000.0 {
            return format!("{} {unit}", number(size));
        }
        size /= 1_000.0;
    }
    format!("{} TB", number(size))
}

/// A share in percent, with its sign.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// A length of time in seconds, with its unit.
pub(crate) fn seconds(it: f64) -> String {
    if it < 120.0 {
        return format!("{} s", number(it));
    }
    let whole = Duration::try_from_secs_f64(it).map_or(u64::MAX, |it| it.as_secs());
    let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours == 0 { format!("{minutes} min {rest} s") } else { format!("{hours} h {minutes} min {rest} s") }
}

/// Milliseconds since 1970 as a date and a time of day, in UTC.
pub(crate) fn moment(ms: u64) -> String {
    // 253,402,300,799 s is the end of the year 9999, beyond which the form ends.
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs((ms / 1_000).min(253_402_300_799));
    humantime::format_rfc3339_seconds(at).to_string().replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_lose_no_meaning() {
        for (figure, text) in [
            (0.0, "0"),
            (0.000_25, "2.5e-4"),
            (0.0075, "0.0075"),
            (0.02, "0.02"),
            (0.25, "0.250"),
            (9.876, "9.88"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1_234.0, "-1,234"),
            (-0.5, "-0.500"),
        ] {
            assert_eq!(number(figure), text);
        }
        assert_eq!((count(0), count(999), count(1_000)), ("0".into(), "999".into(), "1,000".into()));
    }

    #[test]
    fn units_fit_their_figures() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.50 MB");
        assert_eq!(percent(0.0123), "1.23 %");
        assert_eq!(seconds(20.0), "20.0 s");
        assert_eq!(seconds(3_725.9), "1 h 2 min 5 s");
        assert_eq!(moment(1_700_000_000_250), "2023-11-14 22:13:20 UTC");
        assert!(moment(u64::MAX).starts_with("9999"));
    }
}
