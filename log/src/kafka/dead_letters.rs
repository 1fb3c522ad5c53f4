//! Records that cannot be decoded, copied where people can look at them.

mod headers;

use std::fmt;

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset, PartitionId};

use super::admin::{Admin, PATIENCE, Wanted};
use super::send::{Outgoing, Sender};
use super::{ConfigError, KafkaConfig, KafkaError};
use crate::Topic;

/// A command record that cannot be decoded, as it was, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The partition of the commands it came from, which is also its partition among the dead letters.
    pub partition: PartitionId,
    /// Where it is in that partition.
    pub offset: Offset,
    /// When the log took it.
    pub timestamp: LogTime,
    /// Its key, if it had one.
    pub key: Option<Bytes>,
    /// Its bytes.
    pub payload: Bytes,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// A dead letter in the topic of the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// Where it is among the dead letters of its partition.
    pub place: Offset,
    /// The letter.
    pub letter: DeadLetter,
}

/// A command record with its key, as it is on the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Where it is in its partition.
    pub offset: Offset,
    /// When the log took it.
    pub timestamp: LogTime,
    /// Its key, if it has one.
    pub key: Option<Bytes>,
    /// Its bytes; empty if it has none.
    pub payload: Bytes,
}

/// Writes and reads dead letters. Every call is complete in itself, and may be made from any thread.
pub struct DeadLetters {
    config: KafkaConfig,
    topic: String,
    sender: Sender,
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Copies of the same record may come in twice, from two owners; the last ones may also be somebody else's records. So
/// many are looked at for the highest place.
const TAIL_RECORDS: u64 = 256;

impl DeadLetters {
    /// Prepares to write and read. Nothing is sent.
    ///
    /// # Errors
    /// If the configuration does not work.
    pub fn open(config: &KafkaConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let topic = config.dead_letters_topic();
        Ok(Self { config: config.clone(), topic, sender: Sender::new(config) })
    }

    /// Copies a record and returns when the copy is durable. Blocks, for the delivery time-out at most.
    ///
    /// # Errors
    /// If that failed; the copy may be there none the less. Sending it again is harmless: readers see the original's
    /// place twice.
    pub fn send(&self, letter: &DeadLetter) -> Result<(), KafkaError> {
        let original = self.config.topic_name(Topic::InventoryCommands);
        let record = Outgoing {
            topic: &self.topic,
            partition: letter.partition.0,
            key: letter.key.as_deref(),
            payload: &letter.payload,
            headers: headers::of(&original, letter),
        };
        self.sender.send("copying a record to the dead letters", &record)
    }

    /// The highest place in the commands of a record of the partition that was copied. Blocks, for a quarter of a minute
    /// at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn last_sent(&self, partition: PartitionId) -> Result<Option<Offset>, KafkaError> {
        let admin = self.admin()?;
        let (low, end) = admin.ends(&self.topic, partition.0)?;
        if low == end {
            return Ok(None);
        }
        let mut last = None;
        let from = low.max(end.saturating_sub(TAIL_RECORDS));
        admin.read(&self.topic, partition.0, Some(from), |message| {
            if let Some(letter) = headers::letter(partition, message) {
                last = last.max(Some(letter.offset));
            }
            Wanted::More
        })?;
        Ok(last)
    }

    /// Up to `max` dead letters of the partition from the place `from` on, oldest first. Records that are no dead letters
    /// are left out. Blocks, for a quarter of a minute at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn list(
        &self,
        partition: PartitionId,
        from: Offset,
        max: usize,
    ) -> Result<Vec<StoredLetter>, KafkaError> {
        let admin = self.admin()?;
        let (low, end) = admin.ends(&self.topic, partition.0)?;
        let from = from.0.max(low);
        let mut letters = Vec::new();
        if from >= end || max == 0 {
            return Ok(letters);
        }
        admin.read(&self.topic, partition.0, Some(from), |message| {
            let place = Offset(message.offset);
            letters.extend(headers::letter(partition, message).map(|letter| StoredLetter { place, letter }));
            if letters.len() < max { Wanted::More } else { Wanted::NoMore }
        })?;
        Ok(letters)
    }

    /// How many records each partition of the dead letters has. Blocks, for a quarter of a minute at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn counts(&self, partitions: u32) -> Result<Vec<u64>, KafkaError> {
        let admin = self.admin()?;
        let count = |partition| admin.ends(&self.topic, partition).map(|(low, end)| end - low);
        (0..partitions).map(count).collect()
    }

    /// The command record at that offset with its key, or none if there is none (any more). Blocks, for a quarter of a
    /// minute at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn original(&self, partition: PartitionId, offset: Offset) -> Result<Option<RawRecord>, KafkaError> {
        let admin = self.admin()?;
        let topic = self.config.topic_name(Topic::InventoryCommands);
        let (low, end) = admin.ends(&topic, partition.0)?;
        if !(low..end).contains(&offset.0) {
            return Ok(None);
        }
        let mut found = None;
        admin.read(&topic, partition.0, Some(offset.0), |message| {
            found = (message.offset == offset.0).then(|| RawRecord {
                offset,
                timestamp: LogTime(message.timestamp_ms.unwrap_or_default()),
                key: message.key,
                payload: message.payload.unwrap_or_default(),
            });
            Wanted::NoMore
        })?;
        Ok(found)
    }

    fn admin(&self) -> Result<Admin<'_>, KafkaError> {
        Admin::connect(&self.config, "reading dead letters", PATIENCE)
    }
}
