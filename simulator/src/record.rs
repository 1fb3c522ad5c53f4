//! A command record on its way to a machine.

use holdfast_contracts::command::{BatchBuilder, Command, decode_batch};
use holdfast_contracts::{IntakeId, RequestTag};

/// One record of the commands log. Its offset is its place in the list it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the log says it was appended.
    pub append_time_ms: u64,
    /// Its bytes, whatever they are.
    pub payload: Vec<u8>,
}

/// Writes a command record with exactly this dictionary, repetitions and unused entries included.
///
/// [`BatchBuilder`] keeps a dictionary of its own and would tidy it; a hostile client does not.
#[must_use]
pub fn encode_batch(header: (IntakeId, RequestTag), skus: &[&str], commands: &[Command<'_>]) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    builder.start(header.0, header.1);
    for command in commands {
        builder.push(command);
    }
    let mut bytes = builder.bytes().to_vec();
    put_dictionary(&mut bytes, skus);
    bytes
}

/// Appends dictionary entries to a record. Protobuf lets fields stand in any order.
pub fn put_dictionary(bytes: &mut Vec<u8>, skus: &[&str]) {
    for sku in skus {
        // Field 3, length-delimited.
        bytes.push(0x1a);
        put_varint(bytes, sku.len());
        bytes.extend_from_slice(sku.as_bytes());
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits fit a byte")]
        bytes.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "seven bits fit a byte")]
    bytes.push(n as u8);
}

impl Record {
    /// How many commands it has; 0 if it is malformed.
    #[must_use]
    pub fn commands(&self) -> usize {
        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        decode_batch(&self.payload, &mut skus, &mut commands).map_or(0, |_| commands.len())
    }

    /// What it says, one line per command, for people.
    #[must_use]
    pub fn described(&self) -> Vec<String> {
        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        match decode_batch(&self.payload, &mut skus, &mut commands) {
            Err(error) => vec![format!("malformed, code {}: {error}", error.code())],
            Ok(_) => {
                let mut lines = vec![format!("skus {skus:?}")];
                lines.extend(
                    commands.iter().enumerate().map(|(i, command)| format!("{i}: {}", told(command))),
                );
                lines
            }
        }
    }
}

/// A command in words. Lines are spelled out; their `Debug` shows bytes.
fn told(command: &Command<'_>) -> String {
    match command {
        Command::Reserve(it) => {
            let lines: Vec<_> =
                it.lines.iter().map(|line| format!("{} x sku {}", line.quantity, line.sku)).collect();
            format!(
                "Reserve {} customer {} {lines:?}{}{}",
                it.reservation_id,
                it.customer,
                if it.allow_partial { " allow_partial" } else { "" },
                if it.join_waitlist { " join_waitlist" } else { "" },
            )
        }
        Command::DefineSale(it) => {
            let skus: Vec<_> = it.skus.iter().collect();
            format!("DefineSale {} {:?} skus {skus:?} {:?}", it.command_id, it.sale_id, it.terms)
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_contracts::command::{Line, Lines, Reserve};
    use holdfast_contracts::{CustomerId, ReservationId};

    use super::*;

    #[test]
    fn a_record_reads_back_with_the_dictionary_it_was_given() {
        let lines = [Line { sku: 1, quantity: 3 }, Line { sku: 9, quantity: 1 }];
        let reserve = Command::Reserve(Reserve {
            reservation_id: ReservationId([7; 16]),
            customer: CustomerId(5),
            lines: Lines::of(&lines),
            allow_partial: true,
            join_waitlist: false,
        });
        let long = "x".repeat(64);
        let skus = ["a", "a", long.as_str()];
        let bytes = encode_batch((IntakeId(1), RequestTag(2)), &skus, &[reserve]);
        let (mut read_skus, mut commands) = (Vec::new(), Vec::new());
        let header = decode_batch(&bytes, &mut read_skus, &mut commands).expect("well formed");
        assert_eq!((header.intake_id, header.first_request_tag), (IntakeId(1), RequestTag(2)));
        assert_eq!(read_skus, skus);
        assert_eq!(commands, [reserve]);
    }
}
