//! Authentication codes: of those who hold the key, and of those who would like to.

use super::Generator;

impl Generator {
    /// Puts a code at the end of the record, as its sender would.
    pub(super) fn authenticate(&mut self, payload: &mut Vec<u8>) {
        let settings = self.settings;
        let Some(secret) = settings.control_secret else {
            // Where there is no key, a code says nothing.
            if self.rng.percent(1) {
                settings.sign(&[1; 32], payload);
            }
            return;
        };
        let controls = self.draft.builder.has_control();
        let forged = self.draft.forged || (controls && self.made > 0 && self.rng.percent(6));
        if forged && !self.is_last_command() {
            self.forge(&secret, payload);
        } else if controls || self.rng.percent(2) {
            settings.sign(&secret, payload);
            self.genuine = payload[payload.len() - 18..].to_vec();
        }
    }

    /// The control command at which the partition must stop is genuine.
    fn is_last_command(&self) -> bool {
        self.made + 1 == self.scenario.records && self.scenario.on.stop_at_the_end
    }

    fn forge(&mut self, secret: &[u8; 32], payload: &mut Vec<u8>) {
        let settings = self.settings;
        match self.rng.below(8) {
            0 | 1 => {}
            // A key of their own.
            2 => {
                let mut other = *secret;
                other[self.rng.index(32)] ^= 1;
                settings.sign(&other, payload);
            }
            // A genuine record of another partition, or of another log.
            3 => {
                let mut elsewhere = settings;
                elsewhere.partition.0 ^= 1;
                elsewhere.sign(secret, payload);
            }
            4 => {
                let mut elsewhere = settings;
                elsewhere.log_id.0[self.rng.index(16)] ^= 1;
                elsewhere.sign(secret, payload);
            }
            // The code of another record.
            5 => payload.extend_from_slice(&self.genuine),
            // A genuine record with something added: an unknown field, or one more name.
            6 => {
                settings.sign(secret, payload);
                payload.extend_from_slice(if self.rng.coin() { &[0x30, 1] } else { &[0x1a, 1, b'x'] });
            }
            // The code does not stand at the end.
            _ => {
                let mut signed = payload.clone();
                settings.sign(secret, &mut signed);
                let code = signed.split_off(payload.len());
                payload.splice(0..0, code);
            }
        }
    }

    /// Control commands that would stop the partition if anybody believed them.
    pub(super) fn send_false_control(&mut self, append_time_ms: u64) {
        self.draft.forged = true;
        self.stop(append_time_ms);
    }
}
