//! What people read: the table on the terminal, and the section of `docs/benchmarks.md`.

use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::row::{Row, plain};

/// Where a run took place.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    cores: usize,
    processor: String,
    memory_gib: u64,
    kernel: String,
    date: String,
    load: String,
}

impl Host {
    /// This one, at this moment.
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, v)| v.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let system = rustix::system::uname();
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy()),
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
            load: load.split_whitespace().next().unwrap_or_default().to_owned(),
        }
    }

    fn text(&self) -> String {
        let Self { cores, processor, memory_gib, kernel, date, load } = self;
        format!(
            "{date}; {cores} cores ({processor}), {memory_gib} GiB; {kernel}; load {load} when the run began"
        )
    }
}

/// The day of so many seconds since 1970, as people write it.
fn date(seconds: u64) -> String {
    // Counted in eras of 400 years that begin in March, so that leap days come last.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The table on the terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![["row", "value", "peer", "ratio", "goal", "met"].map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 6] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), plain);
    let value = match (&row.error, row.value) {
        (Some(why), _) => format!("not measured: {why}"),
        (None, value) => format!("{} {}", number(value), row.unit),
    };
    let peer = match &row.peer {
        Some(name) => format!("{} ({name})", number(row.peer_value)),
        None => "-".to_owned(),
    };
    let met = if row.met { "yes" } else { "NO" };
    [row.row.clone(), value, peer, number(row.ratio), row.goal.clone(), met.to_owned()]
}

/// The section of a group for the page.
pub(crate) fn section(group: &str, host: &Host, rows: &[Row]) -> String {
    let mut text = format!("Measured {}.\n\n", host.text());
    text.push_str("| row | value | peer in the same run | ratio | goal | met |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let cells = cells(row).map(|cell| cell.replace('|', "/"));
        // Writing to a string cannot fail.
        writeln!(text, "| {} |", cells.join(" | ")).ok();
    }
    text.push_str("\nHow each came about:\n\n");
    for row in rows.iter().filter(|row| !row.detail.is_empty()) {
        let details = row.detail.iter().map(|(name, value)| {
            let value = value.as_f64().map_or_else(|| value.to_string().replace('"', ""), plain);
            format!("{} {value}", name.replace('_', " "))
        });
        writeln!(text, "- `{}`: {}", row.row, details.collect::<Vec<_>>().join("; ")).ok();
    }
    writeln!(text, "\nAgain: `scripts/bench {group} --markdown docs/benchmarks.md`.").ok();
    text
}

/// Puts a section into the page, in place of the one that is there.
pub(crate) fn write_section(page: &Path, group: &str, section: &str) -> std::io::Result<()> {
    let before = match std::fs::read_to_string(page) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    std::fs::write(page, replaced(&before, group, section))
}

fn replaced(page: &str, group: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin {group} -->\n"), format!("<!-- end {group} -->\n"));
    let whole = format!("{begin}\n{section}\n{end}");
    let found = page.find(&begin).zip(page.find(&end)).filter(|(from, to)| from < to);
    match found {
        Some((from, to)) => format!("{}{whole}{}", &page[..from], &page[to + end.len()..]),
        None => format!("{page}{whole}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Goal, Measured};

    #[test]
    fn days_are_counted_right() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(951_868_800), "2000-03-01");
        assert_eq!(date(1_795_219_199), "2026-11-20");
        assert_eq!(date(1_795_219_200), "2026-11-21");
    }

    #[test]
    fn a_section_takes_the_place_of_its_own_kind_only() {
        let page = replaced(&replaced("# Page\n\n", "a", "one\n"), "b", "two\n");
        let again = replaced(&page, "a", "three\n");
        assert!(again.starts_with("# Page\n\n<!-- begin a -->\n\nthree\n"), "{again}");
        assert!(again.contains("two\n") && !again.contains("one\n"));
        assert_eq!(replaced(&again, "a", "three\n"), again);
    }

    #[test]
    fn a_row_that_failed_says_why() {
        let rows =
            [Row::failed("a", "no nginx".into()), Measured::new("b", 5.0, "ms").goals(&[Goal::AtMost(6.0)])];
        let text = table(&rows);
        assert!(text.contains("not measured: no nginx") && text.contains("5 ms"), "{text}");
    }
}
