//! A list of records kept as text: what a failure is shrunk to, and what is run again for good.
//!
//! ```text
//! # what this case is about, any number of lines
//! partition 0 of 4
//! log 000102030405060708090a0b0c0d0e0f
//! control 000102...   (if there is a control key)
//! record 1700000000000 1a0241311a02...
//! #   what the record says, for people
//! ```

use std::fmt::Write as _;

use holdfast_contracts::{LogId, PartitionId};

use crate::model::Settings;
use crate::record::Record;

/// Records from offset 0 on, and what the machine is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub about: String,
    /// What the machine is made with.
    pub settings: Settings,
    /// The records.
    pub records: Vec<Record>,
}

impl Case {
    /// The case as text, with every record spelled out in comments.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.about.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let Settings { partition, partitions, log_id, control_secret } = self.settings;
        let _ = writeln!(text, "partition {partition} of {partitions}\nlog {log_id}");
        if let Some(secret) = control_secret {
            let _ = writeln!(text, "control {}", to_hex(&secret));
        }
        for record in &self.records {
            let _ = writeln!(text, "record {} {}", record.append_time_ms, to_hex(&record.payload));
            for line in record.described() {
                let _ = writeln!(text, "#   {line}");
            }
        }
        text
    }

    /// Reads what [`Case::to_text`] writes. Comments before the first setting are what the case is about.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut case = Self {
            about: String::new(),
            settings: Settings {
                partition: PartitionId(0),
                partitions: 1,
                log_id: LogId([0; 16]),
                control_secret: None,
            },
            records: Vec::new(),
        };
        let mut begun = false;
        for (n, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if !begun {
                    case.about.push_str(comment.trim());
                    case.about.push('\n');
                }
                continue;
            }
            begun |= !line.is_empty();
            case.read_line(line).ok_or_else(|| format!("line {n} makes no sense: {line}"))?;
        }
        Ok(case)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            ["partition", partition, "of", partitions] => {
                self.settings.partition = PartitionId(partition.parse().ok()?);
                self.settings.partitions = partitions.parse().ok()?;
            }
            ["log", id] => self.settings.log_id = id.parse().ok()?,
            ["control", secret] => self.settings.control_secret = Some(from_hex(secret)?.try_into().ok()?),
            ["record", time] => self.push(time.parse().ok()?, Vec::new()),
            ["record", time, bytes] => self.push(time.parse().ok()?, from_hex(bytes)?),
            _ => return None,
        }
        Some(())
    }

    fn push(&mut self, append_time_ms: u64, payload: Vec<u8>) {
        self.records.push(Record { append_time_ms, payload });
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads what [`to_hex`] writes.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_reads_back_what_it_prints() {
        let case = Case {
            about: "two lines\nof words\n".to_owned(),
            settings: Settings {
                partition: PartitionId(2),
                partitions: 7,
                log_id: LogId([0xab; 16]),
                control_secret: Some([0x0c; 32]),
            },
            records: vec![
                Record { append_time_ms: 5, payload: vec![0, 255, 16] },
                Record { append_time_ms: u64::MAX, payload: Vec::new() },
            ],
        };
        assert_eq!(Case::from_text(&case.to_text()), Ok(case));
        assert!(Case::from_text("record 5 abc").is_err());
        assert!(Case::from_text("record five").is_err());
    }
}
