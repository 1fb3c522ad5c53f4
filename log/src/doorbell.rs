//! A doorbell for plain threads: many ring, one listens, and a ring is never lost.
//!
//! It is an eventcount for a single listener. While the listener is awake, ringing is one atomic exchange; only a
//! listener that really sleeps costs a system call. It turns into a [`std::task::Waker`], so whatever wakes tasks can
//! also wake a thread.

use std::{
    sync::OnceLock,
    task::{Wake, Waker},
    time::Instant,
};

#[cfg(loom)]
use loom::{
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, Thread},
};
#[cfg(not(loom))]
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, Thread},
};

// loom cannot turn its own Arc into a std Waker; the count itself is not what is being checked.
use std::sync::Arc;

/// Nobody has rung since the listener last looked.
const QUIET: u32 = 0;
/// Somebody has rung and the listener has not seen it yet.
const RUNG: u32 = 1;
/// The listener has found nothing and parks, or is about to.
const ASLEEP: u32 = 2;

/// Makes a doorbell and the one who listens to it.
#[must_use]
pub fn doorbell() -> (Doorbell, Listener) {
    let bell = Arc::new(Bell { state: AtomicU32::new(QUIET), sleeper: OnceLock::new() });
    (Doorbell(Arc::clone(&bell)), Listener(bell))
}

/// The button. Cloned freely; all clones ring the same bell.
#[derive(Clone)]
pub struct Doorbell(Arc<Bell>);

/// The ear. There is one; the first thread that sleeps on it must be the only one that ever does.
pub struct Listener(Arc<Bell>);

struct Bell {
    state: AtomicU32,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    fn ring(&self) {
        // The exchange must not become a load that skips the store when the bell is rung already: the listener may
        // be taking that very ring, and would not look again for what this caller has just published. Release
        // publishes it; being a read-modify-write, it also carries on what earlier ringers published. Acquire is for
        // the name of the sleeper.
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            self.sleeper.get().expect("a listener names itself before it sleeps").unpark();
        }
    }

    /// Takes a ring if there is one. Acquire: what was published before any ring taken here is visible after it.
    fn take(&self) -> bool {
        self.state.swap(QUIET, Ordering::Acquire) == RUNG
    }

    /// Falls asleep unless somebody has rung. False if somebody has.
    fn fall_asleep(&self) -> bool {
        let sleeper = self.sleeper.get_or_init(thread::current);
        assert_eq!(sleeper.id(), thread::current().id(), "one thread sleeps on a doorbell, always the same");
        // Release: a ringer that sees ASLEEP also sees who sleeps. Failing needs no ordering: the ring is still
        // there and is taken with `take`.
        self.state.compare_exchange(QUIET, ASLEEP, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// True while nobody has rung since the listener fell asleep.
    fn is_asleep(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ASLEEP
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl Doorbell {
    /// Makes the listener's current or next wait return. Everything this thread did before is visible to it then.
    pub fn ring(&self) {
        self.0.ring();
    }

    /// The same bell as a waker. Wakers of one bell know each other by `will_wake`.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }
}

impl Listener {
    /// Takes a ring without waiting. True if somebody has rung since the last ring was taken.
    ///
    /// Call it before looking for work, not after: a ring that is taken is a promise to look.
    pub fn take(&mut self) -> bool {
        self.0.take()
    }

    /// Waits for a ring and takes it. Returns at once if there was one since the last ring was taken.
    pub fn wait(&mut self) {
        while !self.0.take() {
            if self.0.fall_asleep() {
                // A park may end for no reason, or for someone else's; only the state tells.
                while self.0.is_asleep() {
                    thread::park();
                }
            }
        }
    }

    /// Like [`wait`](Self::wait), but gives up at `deadline`. True if a ring was taken.
    #[cfg_attr(loom, expect(unused_variables, reason = "loom knows no time; waits are then without limit"))]
    pub fn wait_until(&mut self, deadline: Instant) -> bool {
        #[cfg(loom)]
        {
            self.wait();
            true
        }
        #[cfg(not(loom))]
        loop {
            if self.0.take() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            if self.0.fall_asleep() {
                while self.0.is_asleep() {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doorbell")
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering::Relaxed},
        time::Duration,
    };

    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_kept_and_taken_once() {
        let (bell, mut listener) = doorbell();
        bell.ring();
        bell.ring();
        listener.wait();
        assert!(!listener.take());
        assert!(!listener.wait_until(Instant::now()));
    }

    #[test]
    fn a_wait_gives_up_at_its_deadline_and_hears_later_rings() {
        let (bell, mut listener) = doorbell();
        let start = Instant::now();
        assert!(!listener.wait_until(start + Duration::from_millis(2)));
        assert!(start.elapsed() >= Duration::from_millis(2));
        bell.ring();
        assert!(listener.wait_until(Instant::now()));
    }

    #[test]
    fn wakers_of_one_bell_know_each_other() {
        let ((one, _ear), (two, _other_ear)) = (doorbell(), doorbell());
        assert!(one.waker().will_wake(&one.clone().waker()));
        assert!(!one.waker().will_wake(&two.waker()));
    }

    #[test]
    fn a_listener_hears_everything_that_many_threads_announce() {
        const RINGS: u64 = 20_000;
        let (bell, mut listener) = doorbell();
        let announced = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..RINGS {
                        announced.fetch_add(1, Relaxed);
                        bell.ring();
                    }
                });
            }
            // A lost ring would leave this thread waiting for ever.
            while announced.load(Relaxed) < 2 * RINGS {
                listener.wait();
            }
        });
    }
}
