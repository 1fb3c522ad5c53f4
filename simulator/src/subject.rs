//! The machine under test, seen from outside.

use holdfast_contracts::{Chain, Digest, Offset, OutSeq, decision};

use crate::encode::write_body;
use crate::model::{Model, Settings, Stopped};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Nothing to say; nothing was written.
    Silent,
    /// The body of a decision record was written.
    Answered,
    /// The partition stands still from here on. What was written, if anything, does not count.
    Stopped,
}

/// A machine that decides one partition.
///
/// To put the real machine on trial, implement this for a wrapper of it. The wrapper only calls: whatever it computes
/// itself is not tested.
pub trait Machine: Sized {
    /// A machine that has seen no record.
    fn new(settings: Settings) -> Self;

    /// Decides a record. Appends to `out` what `BodyWriter` writes: header, dictionary, events, decisions or malformed.
    /// `out` has the envelope already; the chain is added afterwards.
    fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied;

    /// Sum over the whole state. Equal after equal records, in every process.
    fn digest(&self) -> Digest;

    /// A second machine, made from what this one would write into a checkpoint and from nothing else. `None` if this
    /// subject has no checkpoints.
    fn restored(&self) -> Option<Self> {
        None
    }
}

/// Lets a machine decide a record and frames what it wrote as a decision record in `out`.
pub fn apply_framed<M: Machine>(
    machine: &mut M,
    offset: u64,
    append_time_ms: u64,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Applied {
    out.clear();
    let envelope = decision::Envelope { source_offset: Offset(offset), out_seq: OutSeq(1) };
    decision::write_envelope(out, envelope);
    let applied = machine.apply(offset, append_time_ms, payload, out);
    decision::write_chain(out, Chain::default());
    applied
}

/// The model in the machine's place: the second real implementation, and what the tests of the tests are made with.
#[derive(Debug, Clone)]
pub struct ModelMachine(pub Model);

impl Machine for ModelMachine {
    fn new(settings: Settings) -> Self {
        Self(Model::new(settings))
    }

    fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied {
        match self.0.apply(offset, append_time_ms, payload) {
            Err(Stopped::OtherLog | Stopped::UnknownRules(_)) => Applied::Stopped,
            Ok(None) => Applied::Silent,
            Ok(Some(expected)) => {
                write_body(&expected, out);
                Applied::Answered
            }
        }
    }

    /// The model keeps no digest; its log time has to do.
    fn digest(&self) -> Digest {
        Digest(u128::from(self.0.log_time_ms().unwrap_or(0)))
    }
}

/// A machine that says nothing where another would answer, once. A run that lets it pass is blind.
#[derive(Debug, Clone)]
pub struct Canary<M>(M, bool);

/// From this record on the canary waits for an answer to swallow.
const CANARY_AFTER: u64 = 100;

impl<M: Machine> Machine for Canary<M> {
    fn new(settings: Settings) -> Self {
        Self(M::new(settings), false)
    }

    fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied {
        let applied = self.0.apply(offset, append_time_ms, payload, out);
        if offset < CANARY_AFTER || self.1 || applied != Applied::Answered {
            return applied;
        }
        self.1 = true;
        Applied::Silent
    }

    fn digest(&self) -> Digest {
        self.0.digest()
    }
}
