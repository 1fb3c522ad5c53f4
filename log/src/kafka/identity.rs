//! What belongs to a log for good: the keys it is used with, and how many partitions it has.

use holdfast_contracts::LogId;
use rdkafka::message::OwnedHeaders;
use serde::{Deserialize, Serialize};

use super::admin::{Admin, PATIENCE, Wanted};
use super::send::{Outgoing, Sender};
use super::{KafkaConfig, KafkaError};

/// What is pinned with a log. A process pins what it knows and is checked against the rest of what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pins {
    /// Which log it is.
    pub log_id: Option<LogId>,
    /// Its partition count.
    pub partitions: Option<u32>,
    /// Fingerprint of the secret that reservation ids are derived with.
    pub reservation_id_key: Option<String>,
    /// Fingerprint of the secret that control records are authenticated with.
    pub control_key: Option<String>,
}

/// Why a process must not work on a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Something else is pinned.
    #[error("the log was begun with {what} {pinned}; this process has {given}")]
    Other {
        /// Which of the pins.
        what: &'static str,
        /// The value that stands in the log.
        pinned: String,
        /// The value of this process.
        given: String,
    },
    /// The brokers could not be asked.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

const DOING: &str = "pinning what belongs to the log";
const VERSION: u32 = 1;

/// A record of the identity topic. The first record that has a field stands for that field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pinned {
    holdfast_identity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_key: Option<String>,
}

/// Pins the values that are not pinned yet and compares the others. Whoever comes first pins; of two that come at the
/// same time one does, and both see which. Returns everything that is pinned.
///
/// Blocks, for half a minute at most, and for the delivery time-out if something is pinned.
///
/// # Errors
/// If another value is pinned, or the brokers cannot be asked.
pub fn pin_or_check(config: &KafkaConfig, pins: &Pins) -> Result<Pins, IdentityError> {
    let admin = Admin::connect(config, DOING, 2 * PATIENCE)?;
    let topic = config.identity_topic();
    let sender = Sender::new(config);
    loop {
        let pinned = read(&admin, &topic)?;
        compare(&pinned, pins)?;
        let Some(missing) = missing(&pinned, pins) else { return Ok(pinned) };
        if admin.left().is_zero() {
            let reason = "what was written is not there to be read".to_owned();
            return Err(KafkaError::Refused { doing: DOING.to_owned(), reason, retryable: true }.into());
        }
        // Others may be writing too. Who was first is seen by reading again.
        let payload = serde_json::to_vec(&missing)
            .map_err(|error| KafkaError::Foreign { topic: topic.clone(), what: error.to_string() })?;
        let record = Outgoing {
            topic: &topic,
            partition: 0,
            key: None,
            payload: &payload,
            headers: OwnedHeaders::new(),
        };
        sender.send(DOING, &record)?;
    }
}

fn read(admin: &Admin<'_>, topic: &str) -> Result<Pins, KafkaError> {
    let mut pinned = Pins::default();
    let mut foreign = None;
    admin.read(topic, 0, None, |message| match decode(message.payload.as_deref().unwrap_or_default()) {
        Ok(record) => {
            pinned.log_id = pinned.log_id.or(record.log_id);
            pinned.partitions = pinned.partitions.or(record.partitions);
            pinned.reservation_id_key = pinned.reservation_id_key.take().or(record.reservation_id_key);
            pinned.control_key = pinned.control_key.take().or(record.control_key);
            Wanted::More
        }
        Err(what) => {
            foreign = Some(format!("at offset {}: {what}", message.offset));
            Wanted::NoMore
        }
    })?;
    match foreign {
        None => Ok(pinned),
        // Whoever wrote it may have meant to pin something. Guessing would let two processes differ.
        Some(what) => Err(KafkaError::Foreign { topic: topic.to_owned(), what }),
    }
}

fn decode(payload: &[u8]) -> Result<Pins, String> {
    let record: Pinned = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    if record.holdfast_identity != VERSION {
        return Err(format!("a record of version {}", record.holdfast_identity));
    }
    let log_id =
        record.log_id.map(|id| id.parse::<LogId>()).transpose().map_err(|error| error.to_string())?;
    Ok(Pins {
        log_id,
        partitions: record.partitions,
        reservation_id_key: record.reservation_id_key,
        control_key: record.control_key,
    })
}

/// What is still to be pinned.
fn missing(pinned: &Pins, given: &Pins) -> Option<Pinned> {
    fn absent<T: Clone>(pinned: Option<&T>, given: Option<&T>) -> Option<T> {
        if pinned.is_none() { given.cloned() } else { None }
    }
    let record = Pinned {
        holdfast_identity: VERSION,
        log_id: absent(pinned.log_id.as_ref(), given.log_id.as_ref()).map(|id| id.to_string()),
        partitions: absent(pinned.partitions.as_ref(), given.partitions.as_ref()),
        reservation_id_key: absent(pinned.reservation_id_key.as_ref(), given.reservation_id_key.as_ref()),
        control_key: absent(pinned.control_key.as_ref(), given.control_key.as_ref()),
    };
    let nothing = record.log_id.is_none()
        && record.partitions.is_none()
        && record.reservation_id_key.is_none()
        && record.control_key.is_none();
    (!nothing).then_some(record)
}

fn compare(pinned: &Pins, given: &Pins) -> Result<(), IdentityError> {
    fn same<T: ToString + PartialEq>(
        what: &'static str,
        pinned: Option<&T>,
        given: Option<&T>,
    ) -> Result<(), IdentityError> {
        match pinned.zip(given) {
            Some((pinned, given)) if pinned != given => {
                Err(IdentityError::Other { what, pinned: pinned.to_string(), given: given.to_string() })
            }
            _ => Ok(()),
        }
    }
    same("the topics that make up log", pinned.log_id.as_ref(), given.log_id.as_ref())?;
    same("a partition count of", pinned.partitions.as_ref(), given.partitions.as_ref())?;
    same(
        "a reservation-id key of fingerprint",
        pinned.reservation_id_key.as_ref(),
        given.reservation_id_key.as_ref(),
    )?;
    same("a control key of fingerprint", pinned.control_key.as_ref(), given.control_key.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_pinned_is_written() {
        let given = Pins { partitions: Some(4), control_key: Some("c".to_owned()), ..Pins::default() };
        let pinned =
            Pins { partitions: Some(4), reservation_id_key: Some("r".to_owned()), ..Pins::default() };
        let written = serde_json::to_string(&missing(&pinned, &given)).unwrap();
        assert_eq!(written, r#"{"holdfast_identity":1,"control_key":"c"}"#);
        assert_eq!(missing(&given, &given), None);
        assert_eq!(
            decode(written.as_bytes()),
            Ok(Pins { control_key: Some("c".to_owned()), ..Pins::default() })
        );
    }

    #[test]
    fn what_nobody_knows_is_not_guessed() {
        assert!(decode(b"").is_err());
        assert!(decode(br#"{"holdfast_identity":2}"#).is_err());
        assert!(decode(br#"{"holdfast_identity":1,"log_id":"x"}"#).is_err());
    }

    #[test]
    fn another_value_is_refused_by_name() {
        let pinned = Pins { partitions: Some(4), ..Pins::default() };
        let given = Pins { partitions: Some(8), ..Pins::default() };
        let error = compare(&pinned, &given).unwrap_err();
        assert_eq!(error.to_string(), "the log was begun with a partition count of 4; this process has 8");
    }
}
