//! Which streams exist and what their topics promise.

use std::fmt;

use holdfast_contracts::{PartitionId, limits, topics};

/// The kinds of streams a log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Commands to the inventory machine.
    InventoryCommands,
    /// Decisions of the inventory machine.
    InventoryDecisions,
}

/// When a record of a topic may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Once it is durable. For records that nothing can bring back.
    Flushed,
    /// At once, because it would be derived again, byte for byte, from records that are flushed. It becomes durable
    /// with the next flush.
    Derived,
}

impl Topic {
    /// Every topic, in the order of [`code`](Self::code).
    pub const ALL: [Self; 2] = [Self::InventoryCommands, Self::InventoryDecisions];

    /// The name of the topic wherever people or brokers see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InventoryCommands => topics::INVENTORY_COMMANDS,
            Self::InventoryDecisions => topics::INVENTORY_DECISIONS,
        }
    }

    /// The number of the topic in stored formats. Never reused; 2 and 3 are meant for the order topics.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::InventoryCommands => 0,
            Self::InventoryDecisions => 1,
        }
    }

    /// The topic with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.code() == code)
    }

    /// When records of this topic may be read.
    #[must_use]
    pub const fn durability(self) -> Durability {
        match self {
            Self::InventoryCommands if cfg!(feature = "mutant-21") => Durability::Derived,
            Self::InventoryCommands => Durability::Flushed,
            Self::InventoryDecisions => Durability::Derived,
        }
    }

    /// Largest payload of a record of this topic, in bytes.
    ///
    /// A decision record may be larger than the command record it answers, because it repeats the SKUs that due work
    /// touched.
    #[must_use]
    pub const fn payload_bytes_max(self) -> usize {
        match self {
            Self::InventoryCommands => limits::RECORD_BYTES_MAX,
            Self::InventoryDecisions => 8 << 20,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One partition of one topic: the unit of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: PartitionId,
}

impl StreamId {
    /// The commands of an inventory partition.
    #[must_use]
    pub const fn inventory_commands(partition: PartitionId) -> Self {
        Self { topic: Topic::InventoryCommands, partition }
    }

    /// The decisions of an inventory partition.
    #[must_use]
    pub const fn inventory_decisions(partition: PartitionId) -> Self {
        Self { topic: Topic::InventoryDecisions, partition }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_found_by_its_code() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_code(topic.code()), Some(topic));
        }
        assert_eq!(Topic::from_code(255), None);
    }
}
