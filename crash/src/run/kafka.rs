//! The system on real brokers: sequencers, intakes and brokers, each a process of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::murmur2::partition_of;
use holdfast_kafka_kit::{Brokers, Options};
use holdfast_log::kafka::{KafkaConfig, KafkaLog, KafkaLogOptions, lookup, topics};
use holdfast_log::{OrderedLog, Topic};

use super::chaos::{FaultClass, LONG_S, Which};
use super::client::Targets;
use super::commands::{CommandLine, Common, SESSION_MS, Where, settings};
use super::disk::SmallDisk;
use super::moments::Moment;
use super::process::LOOK_EVERY;
use super::recorder::Recorder;
use super::system::Member;
use super::tokens::{self, Issuer};
use super::{Beginning, Kept, RunConfig, RunError, Stage, collect, organiser, write_secret};
use crate::evidence::{Minimums, Role};

const PARTITIONS: u32 = 3;
const SKUS_EACH: u32 = 3;
const SEQUENCERS: u32 = 3;
const INTAKES: u32 = 2;
/// The name of what this process reads with.
const READER: &str = "crash-reader";
/// Room for the checkpoints of one sequencer.
const DISK_BYTES: u64 = 96 << 20;
/// All replicas of our topics are in sync again after so long.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(60);

/// The brokers, and what is needed to begin processes on them.
pub(super) struct Kafka {
    pub(super) brokers: Brokers,
    pub(super) config: KafkaConfig,
    /// To look at the topics with while the run is on.
    pub(super) log: Arc<dyn OrderedLog>,
    pub(super) program: PathBuf,
    pub(super) settings: PathBuf,
    common: Common,
    data: PathBuf,
    talk: PathBuf,
    shared: (Arc<Recorder>, Arc<Targets>),
}

pub(super) fn prepare(config: &RunConfig, directory: &Path) -> Result<Stage, RunError> {
    let mut begin = Beginning::new(config, directory, PARTITIONS)?;
    super::say("starting brokers");
    let brokers =
        Brokers::start_below(&begin.data, Options { brokers: config.brokers, ..Options::default() });
    let prefix = format!("crash-{:016x}-", config.seed);
    let profile = if config.brokers == 1 { "single" } else { "replicated" };
    let bootstrap = brokers.bootstrap().to_owned();
    let place = Where { bootstrap: bootstrap.clone(), prefix: prefix.clone(), profile };
    let common =
        Common { partitions: PARTITIONS, id_key_file: begin.id_key_file.clone(), kafka: Some(place) };
    let file = begin.data.join("topics.toml");
    write(&file, &settings(&common, true, None))?;
    create_topics(&config.server, &file)?;
    let kafka_config = KafkaConfig { topic_prefix: prefix, ..KafkaConfig::new(bootstrap, READER) };
    let log: Arc<dyn OrderedLog> = Arc::new(open(&kafka_config)?);
    let kafka = Kafka {
        brokers,
        config: kafka_config,
        log,
        program: config.server.clone(),
        settings: file,
        common,
        data: begin.data.clone(),
        talk: directory.to_owned(),
        shared: (begin.recorder.clone(), begin.targets.clone()),
    };
    let (members, issuer, classes) = kafka.start_all(config, &mut begin.settings.skipped)?;
    let (skus, last) = organiser::skus(PARTITIONS, SKUS_EACH, |sku| partition_of(sku, PARTITIONS).0);
    let market = begin.market(config, issuer, skus);
    begin.settings.minimums = minimums(config);
    let (evidence, settings, kept) = (begin.evidence, begin.settings, Kept::Kafka(Box::new(kafka)));
    Ok(Stage { talk: directory.to_owned(), evidence, settings, members, classes, market, last, kept })
}

fn minimums(config: &RunConfig) -> Minimums {
    Minimums {
        // The slow faults take their share of a long run.
        kills_mid_traffic: config.seconds / if config.seconds < LONG_S { 6 } else { 12 },
        acks: config.seconds * config.rate / 20,
        unknowns: 1,
        duplicate_outputs: 1,
        zombie_overlaps: u64::from(config.seconds >= LONG_S),
        expiries: 10,
        sold_out: 10,
        replays: 10,
        id_reused: 10,
        reemissions: 1,
        digests_compared: 1,
        broker_failovers: u64::from(config.brokers == 3),
        stops: 3,
    }
}

fn write(file: &Path, text: &str) -> Result<(), RunError> {
    std::fs::write(file, text).map_err(|source| RunError::io("writing settings", source))
}

/// Makes the topics with the product's own command.
pub(super) fn create_topics(program: &Path, settings: &Path) -> Result<(), RunError> {
    let output = CommandLine::create_topics(program, settings, PARTITIONS).command().output();
    let output = output.map_err(|source| RunError::io("making the topics", source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(RunError::Failed(format!("the topics cannot be made: {}", String::from_utf8_lossy(&output.stderr))))
}

fn open(config: &KafkaConfig) -> Result<KafkaLog, RunError> {
    let found = lookup(config).map_err(|error| RunError::Failed(format!("looking up the log: {error}")))?;
    let opened = KafkaLog::open(config, KafkaLogOptions::new(found.log_id, found.layout));
    opened.map_err(|error| RunError::Failed(format!("opening the log: {error}")))
}

impl Kafka {
    /// A process with settings of its own.
    pub(super) fn member(
        &self,
        name: &str,
        role: Role,
        gate: bool,
        instance: Option<&str>,
    ) -> Result<Member, RunError> {
        let (file, data) = (self.data.join(format!("{name}.toml")), self.data.join(name));
        write(&file, &settings(&self.common, gate, instance))?;
        let line = match role {
            Role::Intake => CommandLine::intake(&self.program, &file, &data),
            _ => CommandLine::sequencer(&self.program, &file, &data),
        };
        let talk = self.talk.join(format!("{name}.stderr"));
        Ok(Member::new(name, role, line, data, talk, &self.shared))
    }

    /// A second process under the name that another has in the group, with an empty disk.
    pub(super) fn twin(&self, of: &Member) -> Result<Member, RunError> {
        let twin = self.member(&format!("{}-twin", of.name), Role::Sequencer, true, Some(&of.name))?;
        // There may be one from an earlier time; each begins with nothing.
        let _ = std::fs::remove_dir_all(&twin.data);
        Ok(twin)
    }

    fn start_all(
        &self,
        config: &RunConfig,
        skipped: &mut Vec<String>,
    ) -> Result<(Vec<Member>, Issuer, Vec<FaultClass>), RunError> {
        let mut classes: Vec<FaultClass> = Moment::OF_A_PROCESS
            .into_iter()
            .chain([Moment::Undecided])
            .map(|moment| FaultClass::Kill(Role::Sequencer, moment))
            .collect();
        classes.push(FaultClass::Kill(Role::Intake, Moment::UnderWay));
        classes.push(FaultClass::TwoOwners);
        classes.push(FaultClass::Pause(Role::Sequencer, SESSION_MS + 3_000));
        let mut members = Vec::new();
        for number in 1..=SEQUENCERS {
            let name = format!("sequencer-{number}");
            let mut member = self.member(&name, Role::Sequencer, true, Some(&name))?;
            if number == 1 {
                match SmallDisk::mount(&member.data, DISK_BYTES) {
                    Ok(disk) => {
                        member.disk = Some(disk);
                        classes.push(FaultClass::DiskFull);
                    }
                    Err(why) => skipped.push(format!("disk full: {why}")),
                }
            }
            member.start()?;
            members.push(member);
        }
        if config.brokers == 3 {
            classes.extend([FaultClass::Broker(Which::Leader), FaultClass::Broker(Which::Controller)]);
        } else {
            skipped.push("loss of a broker: it takes three".to_owned());
        }
        let mut key: Option<Vec<u8>> = None;
        for number in 1..=INTAKES {
            // One of them asks the log about everything, so that the log is asked about what is sold out.
            let mut member = self.member(&format!("intake-{number}"), Role::Intake, number > 1, None)?;
            if let Some(key) = &key {
                std::fs::create_dir_all(&member.data)
                    .map_err(|source| RunError::io("making a directory", source))?;
                write_secret(&member.data.join(tokens::FILE), key)?;
            }
            member.start()?;
            member.wait_until_ready()?;
            if key.is_none() {
                let file = member.data.join(tokens::FILE);
                key =
                    Some(std::fs::read(file).map_err(|it| RunError::io("reading the development key", it))?);
            }
            members.push(member);
        }
        for member in members.iter_mut().filter(|it| it.role == Role::Sequencer) {
            member.wait_until_ready()?;
        }
        let issuer = Issuer::open(&self.data.join("intake-1"))?;
        Ok((members, issuer, classes))
    }

    /// Writes down what the topics hold, with a reader that begins afresh.
    pub(super) fn dump(&self, evidence: &Path) -> Result<(), RunError> {
        collect::dump(&open(&self.config)?, evidence)
    }

    /// Brokers that lead partitions of our topics.
    pub(super) fn leaders(&self) -> Vec<u32> {
        let Ok(described) = topics::describe(&self.config) else { return Vec::new() };
        let ours = described.topics.iter().filter(|it| it.name.ends_with(Topic::InventoryCommands.name()));
        let leaders = ours.flat_map(|it| &it.partitions).filter_map(|it| it.leader);
        let leaders: BTreeSet<u32> = leaders.filter_map(|it| u32::try_from(it).ok()).collect();
        leaders.into_iter().collect()
    }

    /// The active controller.
    pub(super) fn controller(&self) -> Option<u32> {
        let arguments = ["--bootstrap-server", self.brokers.bootstrap(), "describe", "--status"];
        let told = self.brokers.tool("org.apache.kafka.tools.MetadataQuorumCommand", &arguments);
        told.lines().find_map(|line| line.strip_prefix("LeaderId:")).and_then(|id| id.trim().parse().ok())
    }

    /// Waits until every replica has everything.
    pub(super) fn wait_until_in_sync(&self) -> Result<(), RunError> {
        let deadline = Instant::now() + IN_SYNC_WITHIN;
        while Instant::now() < deadline {
            if let Ok(described) = topics::describe(&self.config) {
                let mut partitions = described.topics.iter().flat_map(|it| &it.partitions);
                if partitions.all(|it| it.leader.is_some() && it.in_sync.len() == it.replicas.len()) {
                    return Ok(());
                }
            }
            std::thread::sleep(20 * LOOK_EVERY);
        }
        Err(RunError::Failed("not all replicas are in sync again".to_owned()))
    }
}
