//! The settings of an embedded log.

use std::time::Duration;

use holdfast_contracts::LogId;

use super::{
    error::OpenError, frame, header::header_bytes, queue::QueueLimits, segment::PAGE_BYTES, shared::Tuning,
};
use crate::layout::Layout;

/// How an embedded log is opened. Every field but the layout has a default that fits a server of its own.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The partitions. A log that exists must have exactly these.
    pub layout: Layout,
    /// The log that must be in the directory. `None` takes any, and creates one where there is none.
    pub expected_log_id: Option<LogId>,
    /// Size of a segment file of a new log; a log that exists keeps its own. Three are on the disk at least. Default 64 MiB.
    pub segment_bytes: u32,
    /// Bytes that may be accepted and not yet durable, before appends are refused as full. Default 64 MiB.
    pub unsettled_bytes_max: usize,
    /// Bytes of recent records kept in memory for readers, over all streams. Default 128 MiB.
    pub tail_bytes_max: usize,
    /// Segments that may be forgotten are kept while the log has no more bytes than this, for whoever wants to look back.
    /// On a full disk they go at once. Default 1 GiB.
    pub keep_bytes: u64,
    /// Bytes of log that are checked when it is opened, newest first; older ones are checked when they are read.
    /// Default 4 GiB.
    pub verify_bytes_max: u64,
    /// How long a decision may wait for a flush that comes anyway, in a quiet log. Default 2 ms.
    pub derived_delay: Duration,
    /// How long the log is quiet before it writes down what is flushed, so that later damage there is recognised as
    /// damage. Default 50 ms.
    pub mark_delay: Duration,
    /// How often room is looked for while the disk is full. Default 200 ms.
    pub disk_full_retry: Duration,
}

/// As much as is checked in a second or two from memory.
pub(super) const VERIFY_BYTES_MAX: u64 = 4 << 30;

/// Decisions that wait for company are flushed when there are this many bytes of them.
const DERIVED_BYTES_MAX: usize = 1 << 20;

impl EmbeddedConfig {
    /// The defaults for these partitions.
    #[must_use]
    pub const fn new(layout: Layout) -> Self {
        Self {
            layout,
            expected_log_id: None,
            segment_bytes: 64 << 20,
            unsettled_bytes_max: 64 << 20,
            tail_bytes_max: 128 << 20,
            keep_bytes: 1 << 30,
            verify_bytes_max: VERIFY_BYTES_MAX,
            derived_delay: Duration::from_millis(2),
            mark_delay: Duration::from_millis(50),
            disk_full_retry: Duration::from_millis(200),
        }
    }

    /// Says how the values must relate.
    pub(super) fn validate(&self) -> Result<(), OpenError> {
        let frame_bytes_max = frame::frame_bytes(frame::PAYLOAD_BYTES_MAX);
        let smallest = header_bytes(&self.layout) as usize + frame_bytes_max;
        let smallest = smallest.next_multiple_of(PAGE_BYTES as usize);
        let refuse = |why: String| Err(OpenError::Config(why));
        if (self.segment_bytes as usize) < smallest {
            return refuse(format!("segment_bytes must be at least {smallest}"));
        }
        if !self.segment_bytes.is_multiple_of(PAGE_BYTES) {
            return refuse(format!("segment_bytes must be a multiple of {PAGE_BYTES}"));
        }
        if self.unsettled_bytes_max < frame_bytes_max {
            return refuse(format!("unsettled_bytes_max must be at least {}", frame_bytes_max));
        }
        Ok(())
    }

    pub(super) fn tuning(&self, segment_bytes: u32) -> Tuning {
        Tuning {
            segment_bytes,
            keep_bytes: self.keep_bytes,
            tail_bytes_max: self.tail_bytes_max / self.layout.stream_count(),
            derived_delay: self.derived_delay,
            mark_delay: self.mark_delay,
            disk_full_retry: self.disk_full_retry,
        }
    }

    pub(super) fn queue_limits(&self, segment_bytes: u32) -> QueueLimits {
        QueueLimits {
            unsettled_bytes_max: self.unsettled_bytes_max,
            derived_bytes_max: DERIVED_BYTES_MAX,
            segment_bytes,
            header_bytes: header_bytes(&self.layout),
        }
    }
}
