//! What a seed makes of a world: its setup, and which faults may happen at all.

use holdfast_contracts::LogId;
use holdfast_log::simulated::Profile;

use super::setup::{ENDS, End, HostSetup, Setup};
use crate::generate::{Lengths, Scenario};
use crate::rng::Rng;

macro_rules! faults {
    ($($name:ident: $percent:literal,)*) => {
        /// What may go wrong in this seed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each fault is named after what it lets happen")]
        pub struct Faults { $(pub $name: bool,)* }

        impl Faults {
            fn draw(rng: &mut Rng) -> Self {
                Self { $($name: rng.percent($percent),)* }
            }
        }
    };
}

faults! {
    kills: 50,
    drops: 50,
    log_crashes: 50,
    log_failures: 15,
    zombies: 50,
    standbys: 50,
    promotions: 50,
    lost_outputs: 50,
    odd_outputs: 50,
    lost_commands: 50,
    odd_commands: 50,
    client_retries: 50,
    leader_changes: 50,
    wrong_walls: 30,
    full_disks: 40,
    failing_reads: 30,
    stalls: 40,
    broken_disks: 40,
    damage: 30,
    wipes: 20,
    older: 30,
    trims: 40,
    old_builds: 40,
    small_queue: 25,
}

/// Everything that is drawn for a seed before its first action.
#[derive(Debug, Clone)]
pub struct Story {
    /// The seed.
    pub seed: u64,
    /// What the world is made of.
    pub setup: Setup,
    /// What may go wrong.
    pub on: Faults,
    /// What clients do. Each partition has its own.
    pub scenario: Scenario,
}

impl Story {
    /// Draws the story of a seed.
    #[must_use]
    pub fn draw(seed: u64, rng: &mut Rng) -> Self {
        let on = Faults::draw(rng);
        let partitions = rng.one_of(&[1, 1, 1, 1, 2, 3]);
        let mut scenario = Scenario::draw(seed, Lengths::TINY, rng);
        // Time beyond the year 2050 stands still, and nothing could be asked of it after the faults.
        scenario.on.clock_extremes = false;
        scenario.commands_per_record_max = scenario.commands_per_record_max.min(24);
        scenario.records = rng.one_of(&[30, 60, 60, 90, 90, 120, 250]) / partitions;
        let mut log_id = [0; 16];
        log_id[..8].copy_from_slice(&rng.next().to_be_bytes());
        let control_secret = scenario.control_secret(rng);
        let mut hosts = Vec::new();
        for partition in 0..partitions {
            add_hosts(partition, on, rng, &mut hosts);
        }
        let end = if rng.percent(40) { rng.one_of(&ENDS).0 } else { End::Well };
        let setup = Setup {
            profile: if rng.coin() { Profile::Kafka } else { Profile::Embedded },
            partitions,
            log_id: LogId(log_id),
            control_secret,
            // Room for a tick and an output of each: nobody gives way in a queue that is always full.
            unsettled_max: if on.small_queue { rng.index(30) + 2 * hosts.len() } else { 1 << 20 },
            hosts,
            end,
        };
        Self { seed, setup, on, scenario }
    }
}

/// One process, maybe with a standby in it, maybe another process elsewhere.
fn add_hosts(partition: u32, on: Faults, rng: &mut Rng, hosts: &mut Vec<HostSetup>) {
    let mut disk = hosts.last().map_or(0, |last| last.disk + 1);
    let mut add = |disk: usize, rng: &mut Rng| {
        let small_reads = rng.percent(40);
        hosts.push(HostSetup {
            partition,
            disk,
            rules_newest: if on.old_builds && rng.coin() { 1 } else { holdfast_core::RULES_VERSION_NEWEST },
            id_bins: rng.one_of(&[8, 16, 32]),
            wheel_slots: rng.one_of(&[64, 128, 256]),
            read_bytes_max: if small_reads { 1 + rng.index(600) } else { 1 << 20 },
            copy_bytes_per_step: rng.one_of(&[1, 300, 3_000, 1 << 20]),
            checkpoint_after_bytes: rng.one_of(&[200, 1_000, 5_000, 20_000]),
            unacknowledged_outputs_max: rng.one_of(&[1, 4, 64, 65_536]),
            idle_tick_ms: rng.one_of(&[100, 1_000]),
        });
    };
    add(disk, rng);
    if on.standbys && rng.coin() {
        add(disk, rng);
    }
    if on.zombies || rng.percent(30) {
        disk += 1;
        add(disk, rng);
        if rng.percent(20) {
            add(disk + 1, rng);
        }
    }
}
