//! What the headers of a dead letter say, in the form that Spring for Apache Kafka writes and reads: numbers are
//! big-endian, of 4 bytes for a partition and 8 for offsets and times.

use holdfast_contracts::{LogTime, Offset, PartitionId};
use rdkafka::message::{Header, OwnedHeaders};

use super::DeadLetter;
use crate::kafka::library::RawMessage;

const TOPIC: &str = "kafka_dlt-original-topic";
const PARTITION: &str = "kafka_dlt-original-partition";
const OFFSET: &str = "kafka_dlt-original-offset";
const TIMESTAMP: &str = "kafka_dlt-original-timestamp";
const REASON: &str = "kafka_dlt-exception-message";

pub(super) fn of(topic: &str, letter: &DeadLetter) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(5)
        .insert(Header { key: TOPIC, value: Some(topic) })
        .insert(Header { key: PARTITION, value: Some(&letter.partition.0.to_be_bytes()) })
        .insert(Header { key: OFFSET, value: Some(&letter.offset.0.to_be_bytes()) })
        .insert(Header { key: TIMESTAMP, value: Some(&letter.timestamp.0.to_be_bytes()) })
        .insert(Header { key: REASON, value: Some(&letter.reason) })
}

/// The letter that a record of that partition is. None if its headers do not say where it came from.
pub(super) fn letter(partition: PartitionId, message: RawMessage) -> Option<DeadLetter> {
    let value = |name: &str| {
        let mut of_name = message.headers.iter().filter(|(header, _)| header == name);
        of_name.next_back().map(|(_, value)| value.as_slice())
    };
    let number = |name: &str| Some(u64::from_be_bytes(value(name)?.try_into().ok()?));
    let original = u32::from_be_bytes(value(PARTITION)?.try_into().ok()?);
    if original != partition.0 {
        return None;
    }
    let offset = Offset(number(OFFSET)?);
    let timestamp = LogTime(number(TIMESTAMP).unwrap_or_default());
    let reason = String::from_utf8_lossy(value(REASON).unwrap_or_default()).into_owned();
    let payload = message.payload.unwrap_or_default();
    Some(DeadLetter { partition, offset, timestamp, key: message.key, payload, reason })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(headers: &[(&str, &[u8])]) -> RawMessage {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        RawMessage {
            offset: 0,
            timestamp_ms: None,
            key: None,
            payload: Some(Bytes::from_static(b"x")),
            headers,
        }
    }

    #[test]
    fn a_record_that_does_not_say_where_it_came_from_is_no_letter() {
        let partition = 3_u32.to_be_bytes();
        let offset = 7_u64.to_be_bytes();
        let found = letter(PartitionId(3), message(&[(PARTITION, &partition), (OFFSET, &offset)]));
        assert_eq!(found.map(|letter| letter.offset), Some(Offset(7)));
        assert_eq!(letter(PartitionId(3), message(&[])), None);
        assert_eq!(letter(PartitionId(3), message(&[(PARTITION, b"3"), (OFFSET, &offset)])), None);
        assert_eq!(letter(PartitionId(4), message(&[(PARTITION, &partition), (OFFSET, &offset)])), None);
    }
}
