//! The system as one process on the embedded log.

use std::path::Path;

use holdfast_contracts::murmur2::partition_of;
use holdfast_log::{ReadOnlyConfig, ReadOnlyLog};

use super::chaos::FaultClass;
use super::commands::{CommandLine, Common, settings};
use super::disk::SmallDisk;
use super::moments::Moment;
use super::system::Member;
use super::tokens::Issuer;
use super::{Beginning, Kept, RunConfig, RunError, Stage, collect, organiser};
use crate::evidence::{Minimums, Role};

const PARTITIONS: u32 = 3;
const SKUS_EACH: u32 = 3;
/// Room for the segments of the log and the checkpoints of a run.
const DISK_BYTES: u64 = 1 << 30;

pub(super) fn prepare(config: &RunConfig, directory: &Path) -> Result<Stage, RunError> {
    let mut begin = Beginning::new(config, directory, PARTITIONS)?;
    let data = begin.data.join("server");
    let disk = SmallDisk::mount(&data, DISK_BYTES);
    let common = Common { partitions: PARTITIONS, id_key_file: begin.id_key_file.clone(), kafka: None };
    let file = begin.data.join("server.toml");
    std::fs::write(&file, settings(&common, true, None))
        .map_err(|source| RunError::io("writing settings", source))?;
    let line = CommandLine::up(&config.server, &file, &data);
    let shared = (begin.recorder.clone(), begin.targets.clone());
    let talk = directory.join("server.stderr");
    let mut member = Member::new("server", Role::Server, line, data.clone(), talk, &shared);
    let mut classes: Vec<FaultClass> =
        Moment::OF_A_PROCESS.map(|moment| FaultClass::Kill(Role::Server, moment)).to_vec();
    classes.push(FaultClass::Pause(Role::Server, 2_000));
    match disk {
        Ok(disk) => {
            member.disk = Some(disk);
            classes.push(FaultClass::DiskFull);
        }
        Err(why) => begin.settings.skipped.push(format!("disk full: {why}")),
    }
    member.start()?;
    member.wait_until_ready()?;
    let (skus, last) = organiser::skus(PARTITIONS, SKUS_EACH, |sku| partition_of(sku, PARTITIONS).0);
    let market = begin.market(config, Issuer::open(&data)?, skus);
    begin.settings.minimums = minimums(config);
    let (evidence, settings) = (begin.evidence, begin.settings);
    let kept = Kept::Embedded(data.join("log"));
    Ok(Stage {
        talk: directory.to_owned(),
        evidence,
        settings,
        members: vec![member],
        classes,
        market,
        last,
        kept,
    })
}

fn minimums(config: &RunConfig) -> Minimums {
    Minimums {
        kills_mid_traffic: (config.seconds / 6).max(4),
        acks: config.seconds * config.rate / 20,
        unknowns: 1,
        expiries: 10,
        sold_out: 10,
        replays: 10,
        id_reused: 10,
        ..Minimums::default()
    }
}

/// Writes down what the log holds, when nobody writes to it any more.
pub(super) fn dump(log: &Path, evidence: &Path) -> Result<(), RunError> {
    let log = ReadOnlyLog::open(log, &ReadOnlyConfig::default());
    let log = log.map_err(|error| RunError::Failed(format!("opening the log to read it: {error}")))?;
    collect::dump(&log, evidence)
}
