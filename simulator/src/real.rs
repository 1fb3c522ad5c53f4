//! The real machine on trial.

use std::collections::BTreeMap;

use holdfast_contracts::{ControlKey, Digest, LogTime, Offset};
use holdfast_core::{InputRecord, MachineConfig, PageSink, Restore};

use crate::model::Settings;
use crate::subject::{Applied, Machine};

/// The machine of `holdfast-core` with its checkpoint kept in memory.
#[derive(Debug)]
pub struct RealMachine {
    machine: holdfast_core::Machine,
    pages: Pages,
}

/// A checkpoint, changed page by page as a real one would be.
#[derive(Debug, Clone, Default)]
struct Pages(BTreeMap<(u8, u64), Vec<u8>>);

impl PageSink for Pages {
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
        self.0.insert((kind, page), bytes.to_vec());
    }

    fn delete(&mut self, kind: u8, page: u64) {
        self.0.remove(&(kind, page));
    }
}

/// Small tables, so that bins overflow, chunks fill and the wheel goes round many times in a short run.
fn config(settings: Settings) -> MachineConfig {
    let Settings { partition, partitions, log_id, .. } = settings;
    MachineConfig {
        control_key: settings.control_secret.as_ref().map(ControlKey::new),
        id_bins: 32,
        wheel_slots: 64,
        ..MachineConfig::new(partition, partitions, log_id)
    }
}

impl Machine for RealMachine {
    fn new(settings: Settings) -> Self {
        Self { machine: holdfast_core::Machine::new(config(settings)), pages: Pages::default() }
    }

    fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied {
        let record = InputRecord { offset: Offset(offset), append_time: LogTime(append_time_ms), payload };
        match self.machine.apply(record, out) {
            Ok(true) => Applied::Answered,
            Ok(false) => Applied::Silent,
            Err(_) => Applied::Stopped,
        }
    }

    fn digest(&self) -> Digest {
        self.machine.digest()
    }

    fn restored(&mut self) -> Result<Option<Self>, String> {
        self.machine.freeze();
        while !self.machine.copy_frozen(10_000, &mut self.pages) {}
        let mut restore = Restore::new(*self.machine.config());
        for ((kind, page), bytes) in &self.pages.0 {
            let taken = restore.page(*kind, *page, bytes);
            taken.map_err(|error| format!("page {page} of kind {kind}: {error}"))?;
        }
        let machine = restore.finish().map_err(|error| error.to_string())?;
        Ok(Some(Self { machine, pages: self.pages.clone() }))
    }
}
