//! Who wants to be woken, and waking each of them once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
};

/// Ends a subscription when dropped.
pub struct Subscription {
    set: Arc<WakerSet>,
    key: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.set.remove(self.key);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The wakers subscribed to one thing.
#[derive(Default)]
pub(crate) struct WakerSet {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    // Copied when it changes, so that wakers, which are foreign code, run outside the lock.
    entries: Option<Arc<[(u64, Waker)]>>,
    next_key: u64,
}

impl Members {
    fn entries(&self) -> &[(u64, Waker)] {
        self.entries.as_deref().unwrap_or_default()
    }
}

impl WakerSet {
    /// Adds a waker until the subscription is dropped.
    pub(crate) fn subscribe(self: &Arc<Self>, waker: Waker) -> Subscription {
        let mut members = self.lock();
        let key = members.next_key;
        members.next_key += 1;
        let entries = members.entries().iter().cloned().chain([(key, waker)]).collect();
        let before = members.entries.replace(entries);
        drop(members);
        drop(before);
        Subscription { set: Arc::clone(self), key }
    }

    /// Whether nobody is subscribed.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().entries.is_none()
    }

    /// Wakes everyone in the set.
    ///
    /// The caller has published what it wakes for before this call. The lock is what rules out a lost wake-up: a
    /// subscriber whose entry is not seen here took the lock later, and so sees what was published.
    pub(crate) fn wake_all(&self) {
        let entries = self.lock().entries.clone();
        for (_, waker) in entries.iter().flat_map(|entries| entries.iter()) {
            waker.wake_by_ref();
        }
    }

    fn remove(&self, key: u64) {
        let mut members = self.lock();
        let left: Arc<[_]> = members.entries().iter().filter(|(k, _)| *k != key).cloned().collect();
        let before = std::mem::replace(&mut members.entries, (!left.is_empty()).then_some(left));
        drop(members);
        // The last clone of a waker may be dropped here, which is foreign code as well.
        drop(before);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Members> {
        // Nothing in here can be left half done by a panic.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the members of several sets for one event, each distinct waker once.
///
/// Everything the round wakes for has been published before the first set is added; otherwise a waker that was
/// already woken would miss what is published later.
#[derive(Default)]
pub(crate) struct WakeRound {
    woken: Vec<Waker>,
}

impl WakeRound {
    /// Looking for duplicates is linear; from here on a waker may be woken twice, which costs less.
    const REMEMBERED_MAX: usize = 32;

    /// Wakes those in `set` that this round has not woken yet.
    pub(crate) fn wake(&mut self, set: &WakerSet) {
        let entries = set.lock().entries.clone();
        for (_, waker) in entries.iter().flat_map(|entries| entries.iter()) {
            if self.woken.iter().any(|woken| woken.will_wake(waker)) {
                continue;
            }
            waker.wake_by_ref();
            if self.woken.len() < Self::REMEMBERED_MAX {
                self.woken.push(waker.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_waker_is_woken_until_its_subscription_ends() {
        let (set, one, two) = (Arc::new(WakerSet::default()), Arc::default(), Arc::default());
        let first = set.subscribe(Waker::from(Arc::<Count>::clone(&one)));
        let second = set.subscribe(Waker::from(Arc::<Count>::clone(&two)));
        set.wake_all();
        drop(first);
        set.wake_all();
        drop(second);
        set.wake_all();
        assert_eq!((one.get(), two.get()), (1, 2));
        assert_eq!(Arc::strong_count(&one), 1, "an ended subscription keeps its waker alive");
    }

    #[test]
    fn a_round_wakes_each_distinct_waker_once() {
        let sets: Vec<Arc<WakerSet>> = (0..3).map(|_| Arc::default()).collect();
        let (one, two): (Arc<Count>, Arc<Count>) = (Arc::default(), Arc::default());
        let _held: Vec<_> = sets
            .iter()
            .flat_map(|set| [set.subscribe(one.clone().into()), set.subscribe(two.clone().into())])
            .collect();
        let mut round = WakeRound::default();
        for set in &sets {
            round.wake(set);
        }
        assert_eq!((one.get(), two.get()), (1, 1));
    }

    #[test]
    fn a_waker_may_unsubscribe_while_it_is_woken() {
        struct Leave(Mutex<Option<Subscription>>);
        impl Wake for Leave {
            fn wake(self: Arc<Self>) {
                self.0.lock().unwrap().take();
            }
        }
        let set = Arc::new(WakerSet::default());
        let leave = Arc::new(Leave(Mutex::default()));
        *leave.0.lock().unwrap() = Some(set.subscribe(leave.clone().into()));
        set.wake_all();
        assert!(set.lock().entries.is_none());
    }
}
