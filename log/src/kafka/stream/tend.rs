//! What the keeper does for a stream, and what operators are told of it.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use holdfast_contracts::Offset;

use super::{Feed, Feeds, Stream};
use crate::{
    kafka::{native::Fault, shared::Shared, stats::KafkaStreamStats},
    port::Watermarks,
};

impl Stream {
    /// Lets the brokers forget what may be forgotten.
    pub(in crate::kafka) fn delete_trimmed(&self, shared: &Shared, timeout: Duration) -> Result<(), Fault> {
        let below = self.trim_mark.load(Ordering::Acquire);
        if below <= self.low.load(Ordering::Acquire) {
            return Ok(());
        }
        let asker = &shared.askers[self.id.topic.code() as usize];
        let low = asker.delete_records(self.partition(), below, timeout)?;
        self.low.fetch_max(low, Ordering::AcqRel);
        Ok(())
    }

    /// Wakes those who found every feed taken.
    pub(in crate::kafka) fn wake_starving(&self) {
        if self.starving.swap(false, Ordering::AcqRel) {
            self.subscribers.wake_all();
        }
    }

    /// Whether somebody waits for records and nothing is fetched that would wake them.
    pub(in crate::kafka) fn is_unwatched(&self) -> bool {
        !self.subscribers.is_empty() && self.feeds().list.is_empty()
    }

    /// Whether somebody reads.
    pub(in crate::kafka) fn is_read(&self) -> bool {
        !self.feeds().list.is_empty()
    }

    /// Ends every feed.
    pub(in crate::kafka) fn stop_reading(&self) {
        let mut feeds = self.feeds();
        feeds.list.clear();
        self.follow_leader(&feeds);
    }

    /// Ends feeds that nobody reads any more, and those that bring nothing although there is something.
    pub(in crate::kafka) fn tend_feeds(&self, shared: &Shared) {
        let now = Instant::now();
        let end = self.watermarks().end.0;
        let watched = !self.subscribers.is_empty();
        let mut feeds = self.feeds();
        let Feeds { list, room } = &mut *feeds;
        let ahead = list.iter().map(Feed::next).max().unwrap_or(0);
        let (mut leaders, mut stalled) = (0, 0);
        list.retain_mut(|feed| {
            let unread = now.duration_since(feed.last_read);
            if feed.next() >= end {
                // A quiet stream has nothing to bring. One feed is enough to hear when that changes.
                feed.last_progress = now;
                leaders += usize::from(feed.next() == ahead);
                return unread < shared.idle || (watched && leaders == 1 && feed.next() == ahead);
            }
            if now.duration_since(feed.last_progress) < shared.stall {
                return watched || unread < shared.idle;
            }
            if feed.probe(room) {
                // It works, and nobody reads it.
                return unread < shared.idle;
            }
            shared.lanes.replace(self.id.topic, feed.lane, &feed.topic);
            stalled += 1;
            false
        });
        self.follow_leader(&feeds);
        drop(feeds);
        if stalled > 0 {
            shared.counters.consumers_stalled(stalled);
            // Readers begin with other feeds.
            self.subscribers.wake_all();
        }
    }

    /// What operators are told.
    pub(in crate::kafka) fn stats(&self) -> KafkaStreamStats {
        let Watermarks { low, end, .. } = self.watermarks();
        let feeds = self.feeds();
        KafkaStreamStats {
            stream: self.id,
            low,
            high_watermark: end,
            fetched: feeds.leader().map(|feed| Offset(feed.next())),
            feeds: feeds.list.len(),
        }
    }
}
