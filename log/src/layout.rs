//! How many partitions each topic of a log has, and a dense number for each stream.

use holdfast_contracts::{PartitionId, limits};

use crate::port::{StreamId, Topic};

/// The partition count of every topic. Pinned when a log is created: another count would send SKUs elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    partitions: [u32; Topic::ALL.len()],
}

/// A partition count that no log can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log has 1 to {max} partitions, not {0}", max = limits::PARTITIONS_MAX)]
pub struct BadPartitionCount(pub u32);

impl Layout {
    /// The same number of partitions for commands and decisions, as the inventory topics need it.
    ///
    /// # Errors
    ///
    /// If there are none, or more than [`limits::PARTITIONS_MAX`].
    pub const fn inventory(partitions: u32) -> Result<Self, BadPartitionCount> {
        if partitions == 0 || partitions > limits::PARTITIONS_MAX {
            return Err(BadPartitionCount(partitions));
        }
        Ok(Self { partitions: [partitions; Topic::ALL.len()] })
    }

    /// The layout with these counts, in the order of [`Topic::code`].
    pub(crate) fn from_counts(partitions: [u32; Topic::ALL.len()]) -> Option<Self> {
        let allowed = 1..=limits::PARTITIONS_MAX;
        partitions.iter().all(|count| allowed.contains(count)).then_some(Self { partitions })
    }

    /// The number of partitions of a topic.
    #[must_use]
    pub const fn partitions(&self, topic: Topic) -> u32 {
        self.partitions[topic.code() as usize]
    }

    /// The number of streams.
    pub(crate) fn stream_count(&self) -> usize {
        self.partitions.iter().map(|&count| count as usize).sum()
    }

    /// The dense number of a stream, if there is such a stream.
    pub(crate) fn index(&self, stream: StreamId) -> Option<usize> {
        let partition = stream.partition.0;
        if partition >= self.partitions(stream.topic) {
            return None;
        }
        let before: u32 = self.partitions[..usize::from(stream.topic.code())].iter().sum();
        Some((before + partition) as usize)
    }

    /// Every stream, in the order of their numbers.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + '_ {
        Topic::ALL.into_iter().flat_map(|topic| {
            (0..self.partitions(topic)).map(move |nr| StreamId { topic, partition: PartitionId(nr) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_numbered_in_order_and_no_others_exist() {
        let layout = Layout::inventory(3).unwrap();
        let numbers: Vec<_> = layout.streams().map(|stream| layout.index(stream)).collect();
        assert_eq!(numbers, (0..layout.stream_count()).map(Some).collect::<Vec<_>>());
        assert_eq!(layout.index(StreamId::inventory_commands(PartitionId(3))), None);
    }

    #[test]
    fn a_log_has_partitions_but_not_too_many() {
        assert_eq!(Layout::inventory(0), Err(BadPartitionCount(0)));
        assert!(Layout::inventory(limits::PARTITIONS_MAX).is_ok());
        assert!(Layout::inventory(limits::PARTITIONS_MAX + 1).is_err());
    }
}
