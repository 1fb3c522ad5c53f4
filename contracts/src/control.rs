//! Who may send control commands to a partition: the authentication code of control records.
//!
//! Buyers' commands and operators' commands share a topic, and whoever may write to it may write anything. So a record
//! that lets time pass, sets stock, moves a sale or activates rules ends with a code that only a holder of the control
//! key can make. It says for which log and partition the record was made; it does not say how often: a copy of a genuine
//! record is as genuine.

use std::fmt;

use crate::wire::put_bytes;
use crate::{LogId, PartitionId};

/// What the code of a record is derived for.
const MAC_CONTEXT: &str = "holdfast 2026-11-21 control record authentication 1";
/// What the fingerprint is derived for; a key used in this way tells nothing about its other uses.
const FINGERPRINT_CONTEXT: &str = "holdfast 2026-11-21 control key fingerprint 1";

/// Bytes that the code adds to a record.
pub const CONTROL_MAC_BYTES: usize = 18;

/// The code that a control record ends with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlMac(pub [u8; 16]);

impl fmt::Debug for ControlMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ControlMac({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What tells one control key from another and says nothing else about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlFingerprint(pub [u8; 16]);

impl fmt::Display for ControlFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ControlFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ControlFingerprint({self})")
    }
}

/// The secret that control records are authenticated with. Two are equal if they are the same secret.
#[derive(Clone, Copy)]
pub struct ControlKey {
    mac: [u8; 32],
    fingerprint: ControlFingerprint,
}

impl ControlKey {
    /// The key made of 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::derive_key(FINGERPRINT_CONTEXT, secret)[..16]);
        Self { mac: blake3::derive_key(MAC_CONTEXT, secret), fingerprint: ControlFingerprint(fingerprint) }
    }

    /// What tells it from other keys; may be shown.
    #[must_use]
    pub const fn fingerprint(&self) -> ControlFingerprint {
        self.fingerprint
    }

    /// The code over `bytes`, which are a record without its last field.
    #[must_use]
    pub fn mac(&self, log_id: LogId, partition: PartitionId, bytes: &[u8]) -> ControlMac {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        hasher.update(&log_id.0).update(&partition.0.to_be_bytes()).update(bytes);
        let mut mac = [0; 16];
        mac.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        ControlMac(mac)
    }

    /// Whether a record ends with the code that this key gives it in this partition of this log.
    #[must_use]
    pub fn verifies(&self, log_id: LogId, partition: PartitionId, record: &[u8]) -> bool {
        split_control_mac(record).is_some_and(|(bytes, found)| {
            let wanted = self.mac(log_id, partition, bytes);
            // All bytes are looked at, so that the time taken does not tell how many are right.
            wanted.0.iter().zip(found.0).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
        })
    }
}

impl PartialEq for ControlKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ControlKey {}

impl fmt::Debug for ControlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlKey").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Writes the code. Call last: it covers every byte before it.
pub fn write_control_mac(record: &mut Vec<u8>, mac: ControlMac) {
    put_bytes(record, 15, &mac.0);
}

/// Splits a record into what the code covers and the code. `None` if the record does not end with one.
#[must_use]
pub fn split_control_mac(record: &[u8]) -> Option<(&[u8], ControlMac)> {
    let (bytes, tail) = record.split_last_chunk::<CONTROL_MAC_BYTES>()?;
    // Field 15, length-delimited, 16 bytes.
    let [0x7a, 0x10, mac @ ..] = tail else { return None };
    Some((bytes, ControlMac(*mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId([3; 16]);
    const HERE: PartitionId = PartitionId(5);

    fn signed(key: &ControlKey) -> Vec<u8> {
        let mut record = b"anything".to_vec();
        write_control_mac(&mut record, key.mac(LOG, HERE, b"anything"));
        record
    }

    #[test]
    fn a_code_holds_for_one_key_log_partition_and_record() {
        let key = ControlKey::new(&[7; 32]);
        let record = signed(&key);
        assert_eq!(record.len(), b"anything".len() + CONTROL_MAC_BYTES);
        assert!(key.verifies(LOG, HERE, &record));
        assert!(!ControlKey::new(&[8; 32]).verifies(LOG, HERE, &record));
        assert!(!key.verifies(LogId([4; 16]), HERE, &record));
        assert!(!key.verifies(LOG, PartitionId(6), &record));
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut changed = record.clone();
                changed[at] ^= 1 << bit;
                assert!(!key.verifies(LOG, HERE, &changed), "bit {bit} of byte {at}");
            }
            assert!(!key.verifies(LOG, HERE, &record[..at]), "cut at {at}");
        }
        assert!(!key.verifies(LOG, HERE, &[&record[..], &[0]].concat()));
    }

    /// Logs keep such codes for years, and writers in other languages make them from the description alone.
    #[test]
    fn codes_and_fingerprints_are_what_they_always_were() {
        let secret: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let key = ControlKey::new(&secret);
        let mac = key.mac(LOG, HERE, b"anything");
        assert_eq!(format!("{mac:?}"), "ControlMac(34e259c6fa4f4a89c1d8e8171102cdc6)");
        assert_eq!(key.fingerprint().to_string(), "f6c286b5c34679d1d1afc87b01d9adcc");
    }

    #[test]
    fn a_key_does_not_show() {
        let key = ControlKey::new(&[7; 32]);
        let shown = format!("{key:?}");
        assert_eq!(
            shown,
            format!("ControlKey {{ fingerprint: ControlFingerprint({}), .. }}", key.fingerprint())
        );
        assert!(!shown.contains("0707") && !shown.contains("7, 7"));
        assert_eq!(key, ControlKey::new(&[7; 32]));
        assert_ne!(key, ControlKey::new(&[9; 32]));
    }
}
