//! Checkpoints: the state as pages, copied out while the machine goes on.

mod copy;
mod meta;
mod restore;

pub(crate) use copy::Copying;
pub use restore::Restore;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holdfast_contracts::{ControlKey, LogId, LogTime, Offset, PartitionId};

    use super::Restore;
    use crate::{InputRecord, Machine, MachineConfig, PageSink, RestoreError};

    #[derive(Default)]
    struct Pages(BTreeMap<(u8, u64), Vec<u8>>);

    impl PageSink for Pages {
        fn put(&mut self, kind: u8, page: u64, bytes: &[u8]) {
            self.0.insert((kind, page), bytes.to_vec());
        }

        fn delete(&mut self, kind: u8, page: u64) {
            self.0.remove(&(kind, page));
        }
    }

    fn config(secret: Option<u8>) -> MachineConfig {
        MachineConfig {
            control_key: secret.map(|byte| ControlKey::new(&[byte; 32])),
            id_bins: 16,
            wheel_slots: 64,
            ..MachineConfig::new(PartitionId(0), 1, LogId([9; 16]))
        }
    }

    /// A machine that has seen a record that says the same with any key.
    fn machine(secret: Option<u8>) -> Machine {
        let mut machine = Machine::new(config(secret));
        let record =
            InputRecord { offset: Offset(0), append_time: LogTime(1_700_000_000_000), payload: &[0xff] };
        machine.apply(record, &mut Vec::new()).expect("no halt");
        machine
    }

    fn restored(from: &mut Machine, secret: Option<u8>) -> Result<Machine, RestoreError> {
        let mut pages = Pages::default();
        from.freeze();
        while !from.copy_frozen(1 << 20, &mut pages) {}
        let mut restore = Restore::new(config(secret));
        for ((kind, page), bytes) in &pages.0 {
            restore.page(*kind, *page, bytes)?;
        }
        restore.finish()
    }

    #[test]
    fn a_checkpoint_made_with_another_control_key_is_refused() {
        let secrets = [None, Some(1), Some(2)];
        for made_with in secrets {
            for loaded_with in secrets {
                let mut machine = machine(made_with);
                let result = restored(&mut machine, loaded_with).map(|machine| machine.digest());
                let wanted = if made_with == loaded_with {
                    Ok(machine.digest())
                } else {
                    Err(RestoreError::OtherControlKey)
                };
                assert_eq!(result, wanted, "{made_with:?} {loaded_with:?}");
            }
        }
    }

    #[test]
    fn the_digest_tells_which_control_key_is_in_force() {
        let digests = [None, Some(1), Some(2)].map(|secret| machine(secret).digest());
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
    }
}
