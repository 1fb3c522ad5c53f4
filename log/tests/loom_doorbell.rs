//! Checks the doorbell in every interleaving and under every reordering the memory model allows.
//!
//! `scripts/check` runs it; by itself, with a target directory of its own:
//! `RUSTFLAGS="--cfg loom" cargo test --release -p holdfast-log --test loom_doorbell`.
//!
//! That these tests can fail was checked by weakening the doorbell, one place at a time: `Release` in `ring` left out,
//! `Acquire` in `take` to `Relaxed`, a `ring` that only looks and returns when the bell is already rung, a `fall_asleep`
//! that stores instead of comparing, and a `ring` that never unparks. Each is caught by at least two tests here.
#![cfg(loom)]

use std::sync::Arc;

use holdfast_log::doorbell;
use loom::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

/// What ringers publish. Relaxed on purpose: only the doorbell orders it.
struct Work([AtomicUsize; 2]);

impl Work {
    fn new() -> Arc<Self> {
        Arc::new(Self([AtomicUsize::new(0), AtomicUsize::new(0)]))
    }

    fn done(&self) -> usize {
        self.0.iter().map(|n| n.load(Relaxed)).sum()
    }
}

#[test]
fn a_wait_that_returns_sees_what_the_ringer_did() {
    loom::model(|| {
        let (bell, mut listener) = doorbell();
        let work = Work::new();
        let ringer = thread::spawn({
            let work = Arc::clone(&work);
            move || {
                work.0[0].store(1, Relaxed);
                bell.ring();
            }
        });
        listener.wait();
        assert_eq!(work.done(), 1);
        ringer.join().unwrap();
    });
}

#[test]
fn no_ring_of_several_ringers_is_lost() {
    loom::model(|| {
        let (bell, mut listener) = doorbell();
        let work = Work::new();
        for nr in 0..2 {
            let (work, bell) = (Arc::clone(&work), bell.clone());
            thread::spawn(move || {
                work.0[nr].store(1, Relaxed);
                bell.ring();
            });
        }
        // Loom reports a deadlock if the listener sleeps although work is there.
        while work.done() < 2 {
            listener.wait();
        }
    });
}

#[test]
fn a_ring_while_another_is_being_taken_is_not_lost() {
    loom::model(|| {
        let (bell, mut listener) = doorbell();
        let work = Work::new();
        thread::spawn({
            let work = Arc::clone(&work);
            move || {
                for nr in 0..2 {
                    work.0[nr].store(1, Relaxed);
                    bell.ring();
                }
            }
        });
        while work.done() < 2 {
            listener.wait();
        }
    });
}

#[test]
fn a_listener_that_polls_and_then_sleeps_misses_nothing() {
    loom::model(|| {
        let (bell, mut listener) = doorbell();
        let work = Work::new();
        thread::spawn({
            let (work, waker) = (Arc::clone(&work), bell.waker());
            move || {
                work.0[0].store(1, Relaxed);
                waker.wake_by_ref();
            }
        });
        if listener.take() {
            assert_eq!(work.done(), 1);
        } else if work.done() == 0 {
            listener.wait();
            assert_eq!(work.done(), 1);
        }
    });
}
