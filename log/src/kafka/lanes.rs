//! The consumers behind the feeds.
//!
//! One consumer fetches a partition at one place only, and has one fetch under way at a time. Readers at different
//! places of a stream therefore use different lanes: the first for those who keep up, the others for those who catch up.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    config::Client as Purpose,
    native::{Client, Fault, Kind, TopicHandle},
    shared::Shared,
    stream::FEEDS_MAX,
};
use crate::port::Topic;

/// Memory of the client for one partition that somebody catches up with, in KiB.
const CATCH_UP_KBYTES: &str = "16384";

#[derive(Default)]
pub(super) struct Lanes {
    topics: [Mutex<[Option<Arc<TopicHandle>>; FEEDS_MAX]>; Topic::ALL.len()],
}

impl Lanes {
    /// The consumer of a lane, which is made when it is used first.
    pub(super) fn get(&self, shared: &Shared, topic: Topic, lane: usize) -> Result<Arc<TopicHandle>, Fault> {
        let mut lanes = self.topics[topic.code() as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &lanes[lane] {
            return Ok(Arc::clone(handle));
        }
        let mut config = shared.config.client(Purpose::Consumer);
        let key = "queued.max.messages.kbytes";
        if lane > 0 && !shared.config.consumer.contains_key(key) {
            config.set(key, CATCH_UP_KBYTES);
        }
        let client = Client::new(&config, Kind::Consumer, &shared.undertaker)?;
        let handle = Arc::new(client.topic(&shared.names[topic.code() as usize])?);
        lanes[lane] = Some(Arc::clone(&handle));
        Ok(handle)
    }

    /// Takes a consumer out of use, unless another has its place already.
    pub(super) fn replace(&self, topic: Topic, lane: usize, handle: &Arc<TopicHandle>) {
        let mut lanes = self.topics[topic.code() as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if lanes[lane].as_ref().is_some_and(|current| Arc::ptr_eq(current, handle)) {
            lanes[lane] = None;
        }
    }

    /// Closes consumers that no feed uses. Those of the first lane stay: somebody will keep up again.
    pub(super) fn close_unused(&self) {
        for lanes in &self.topics {
            let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
            for lane in lanes.iter_mut().skip(1) {
                if lane.as_ref().is_some_and(|handle| Arc::strong_count(handle) == 1) {
                    *lane = None;
                }
            }
        }
    }

    pub(super) fn close(&self) {
        for lanes in &self.topics {
            *lanes.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
        }
    }
}
