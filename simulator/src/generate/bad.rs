//! Bad clients: records that are not quite records.

use super::Generator;

impl Generator {
    /// Spoils a record: noise, a torn end, flipped bits, a piece twice, a piece missing.
    pub(super) fn spoil(&mut self, payload: &mut Vec<u8>) {
        #[expect(clippy::cast_possible_truncation, reason = "a random byte")]
        let noise = |generator: &mut Self| generator.rng.next() as u8;
        let len = payload.len();
        let at = if len == 0 { 0 } else { self.rng.index(len) };
        match self.rng.below(6) {
            0 => {
                let len = self.rng.index(64);
                *payload = (0..len).map(|_| noise(self)).collect();
            }
            1 => payload.truncate(at),
            2 => {
                for _ in 0..self.rng.between(1, 4) {
                    let at = self.rng.index(payload.len().max(1));
                    let byte = noise(self);
                    if let Some(place) = payload.get_mut(at) {
                        *place = byte;
                    }
                }
            }
            3 => {
                let piece = payload[at..].to_vec();
                payload.extend_from_slice(&piece);
            }
            4 => {
                let end = (at + self.rng.index(8)).min(len);
                payload.drain(at..end);
            }
            _ => payload.insert(at, noise(self)),
        }
    }
}
