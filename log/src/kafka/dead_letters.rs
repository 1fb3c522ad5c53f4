//! Records that cannot be decoded, copied where people can look at them.

use bytes::Bytes;
use holdfast_contracts::{LogTime, Offset, PartitionId};

use super::{KafkaConfig, KafkaError};

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

/// Writes and reads dead letters.
#[derive(Debug)]
pub struct DeadLetters {}

impl DeadLetters {
    /// Prepares to write and read. Nothing is sent.
    ///
    /// # Errors
    /// If the configuration does not work.
    pub fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let _ = config;
        unimplemented!()
    }

    /// Copies a record and returns when the copy is durable. Blocks, for the delivery time-out at most.
    ///
    /// # Errors
    /// If that failed; the copy may be there none the less. Sending it again is harmless: readers see the original's
    /// place twice.
    pub fn send(&self, letter: &DeadLetter) -> Result<(), KafkaError> {
        let _ = letter;
        unimplemented!()
    }

    /// The place in the commands of the last record of the partition that was copied. Blocks, for a quarter of a minute
    /// at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn last_sent(&self, partition: PartitionId) -> Result<Option<Offset>, KafkaError> {
        let _ = partition;
        unimplemented!()
    }

    /// Up to `max` dead letters of the partition from the place `from` on, oldest first. Blocks, for a quarter of a minute
    /// at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn list(
        &self,
        partition: PartitionId,
        from: Offset,
        max: usize,
    ) -> Result<Vec<StoredLetter>, KafkaError> {
        let _ = (partition, from, max);
        unimplemented!()
    }

    /// The command record at that offset with its key, or none if there is none (any more). Blocks, for a quarter of a
    /// minute at most.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn original(&self, partition: PartitionId, offset: Offset) -> Result<Option<RawRecord>, KafkaError> {
        let _ = (partition, offset);
        unimplemented!()
    }
}
