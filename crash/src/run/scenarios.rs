//! Short scenarios in which a partition must refuse to go on, or mend itself and say so. They come last: they spoil what
//! the processes and the topics hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdfast_contracts::PartitionId;
use holdfast_log::{StreamId, Topic};
use serde_json::Value;

use super::RunError;
use super::client::Client;
use super::kafka::{Kafka, create_topics};
use super::process::LOOK_EVERY;
use super::system::Member;
use crate::evidence::{Fault, Role};

/// A process comes to its end, to a stop, or to life within so long.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);
/// The partition that is spoiled.
const SPOILED: u32 = 0;

/// What became of a process.
enum End {
    /// All partitions are up to date.
    Live,
    /// A partition refuses, or the whole process.
    Stopped(String),
    Neither,
}

/// Plays all of them, with the data that a sequencer left when it ended in good order.
pub(super) fn play(kafka: &Kafka, members: &[Member], client: &Client) -> Result<(), RunError> {
    let Some(whole) = members.iter().find(|it| it.role == Role::Sequencer).map(|it| it.data.clone()) else {
        return Ok(());
    };
    let mut stage = Stage { kafka, client, whole };
    stage.flipped_bytes()?;
    stage.trimmed()?;
    stage.trimmed_and_flipped()?;
    stage.made_again()
}

struct Stage<'a> {
    kafka: &'a Kafka,
    client: &'a Client,
    whole: PathBuf,
}

impl Stage<'_> {
    /// A sequencer on a copy of the data, changed in some way.
    fn sequencer(
        &self,
        scenario: &str,
        change: impl FnOnce(&Path) -> Result<(), RunError>,
    ) -> Result<Member, RunError> {
        super::say(&format!("scenario: {scenario}"));
        let name = scenario.replace(' ', "-");
        let member = self.kafka.member(&name, Role::Sequencer, true, Some(&name))?;
        copy(&self.whole, &member.data)?;
        change(&member.data.join("checkpoints"))?;
        Ok(member)
    }

    fn must(&self, scenario: &str, reasons: &[&str]) {
        let reasons = reasons.iter().map(|it| (*it).to_owned()).collect();
        self.client.recorder.fault(Fault::MustStop { scenario: scenario.to_owned(), reasons });
    }

    /// Starts it and writes down what becomes of it.
    fn watch(&self, scenario: &str, mut member: Member) -> Result<(), RunError> {
        let said_before = fs::metadata(&member.talk).map_or(0, |it| it.len());
        member.start()?;
        let ready = member.try_ready(DECIDED_WITHIN);
        let end = if ready { end_of(&mut member) } else { End::Neither };
        let deadline = Instant::now() + DECIDED_WITHIN;
        while !ready && !member.has_ended() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        let had_ended = member.has_ended();
        // It says what it has seen a moment later, and before it ends at the latest.
        member.end();
        let said = said_since(&member.talk, said_before);
        let scenario = scenario.to_owned();
        match end {
            End::Live => self.client.recorder.fault(Fault::Healed { scenario, how: said }),
            End::Stopped(reason) => self.client.recorder.fault(Fault::Stopped { scenario, reason }),
            // It ended before it said its address; the reason is what it said last.
            End::Neither if had_ended => {
                self.client.recorder.fault(Fault::Stopped { scenario, reason: said });
            }
            End::Neither => {}
        }
        Ok(())
    }

    /// The log is whole, so damage of a checkpoint costs a replay. It must be noticed and said.
    fn flipped_bytes(&mut self) -> Result<(), RunError> {
        let scenario = "flipped bytes";
        let member = self.sequencer(scenario, flip)?;
        self.must(scenario, &["damage", "set aside"]);
        self.watch(scenario, member)
    }

    /// Commands after the checkpoint are deleted.
    fn trimmed(&mut self) -> Result<(), RunError> {
        let log = self.kafka.log.as_ref();
        let stream = StreamId { topic: Topic::InventoryCommands, partition: PartitionId(SPOILED) };
        let failed = |what: &str| RunError::Failed(format!("{what} {stream}"));
        // Whatever they say: it is there and then it is not.
        for _ in 0..3 {
            let ticket = log.append(stream, vec![0xff; 8].into()).map_err(|_| failed("appending to"))?;
            ticket.wait(DECIDED_WITHIN).and_then(Result::ok).ok_or_else(|| failed("appending to"))?;
        }
        let end = log.refresh(stream).map_err(|_| failed("asking for the end of"))?.end;
        log.trim(stream, end).map_err(|_| failed("trimming"))?;
        let deadline = Instant::now() + DECIDED_WITHIN;
        while log.refresh(stream).map_err(|_| failed("asking for the end of"))?.low < end {
            if Instant::now() > deadline {
                return Err(failed("waiting for the trimming of"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let scenario = "deleted records";
        let member = self.sequencer(scenario, |_| Ok(()))?;
        self.must(scenario, &["are needed, but the log begins at"]);
        self.watch(scenario, member)
    }

    /// The log is gone and the checkpoint is damaged: there is nothing to begin with.
    fn trimmed_and_flipped(&mut self) -> Result<(), RunError> {
        let scenario = "deleted records and flipped bytes";
        let member = self.sequencer(scenario, flip)?;
        self.must(scenario, &["are needed, but the log begins at", "too late to do without"]);
        self.watch(scenario, member)
    }

    /// Topics of the same name are another log.
    fn made_again(&mut self) -> Result<(), RunError> {
        let brokers = &self.kafka.brokers;
        let tool = "org.apache.kafka.tools.TopicCommand";
        for topic in Topic::ALL {
            let name = self.kafka.config.topic_name(topic);
            let _ = brokers
                .tool(tool, &["--bootstrap-server", brokers.bootstrap(), "--delete", "--topic", &name]);
        }
        let deadline = Instant::now() + DECIDED_WITHIN;
        // A name is free only when the brokers have forgotten the topic.
        while create_topics(&self.kafka.program, &self.kafka.settings).is_err() {
            if Instant::now() > deadline {
                return Err(RunError::Failed("the topics cannot be made again".to_owned()));
            }
            std::thread::sleep(20 * LOOK_EVERY);
        }
        let scenario = "topics made again";
        let member = self.sequencer(scenario, |_| Ok(()))?;
        self.must(scenario, &["belongs to log"]);
        self.watch(scenario, member)
    }
}

/// Looks at the status page until it is clear what becomes of the process.
fn end_of(member: &mut Member) -> End {
    let deadline = Instant::now() + DECIDED_WITHIN;
    while Instant::now() < deadline && !member.has_ended() {
        let partitions = member.partitions();
        let stopped = partitions.iter().find_map(|it| it["stopped"]["reason"].as_str());
        if let Some(reason) = stopped {
            return End::Stopped(reason.to_owned());
        }
        let live = |it: &Value| it["state"] == "live" && it["assignment"] == "active";
        if !partitions.is_empty() && partitions.iter().all(live) {
            return End::Live;
        }
        std::thread::sleep(20 * LOOK_EVERY);
    }
    End::Neither
}

/// Looks through what all processes have said so far for what none of them ever should say.
pub(super) fn complaints(talk: &Path, client: &Client) {
    let files = fs::read_dir(talk).into_iter().flatten().flatten().map(|it| it.path());
    for file in files.filter(|it| it.extension().is_some_and(|it| it == "stderr")) {
        let said = said_since(&file, 0);
        let bad =
            |line: &&str| ["DAMAGED", "set aside", "panicked at"].iter().any(|word| line.contains(word));
        for line in said.lines().filter(bad) {
            let who = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            client.recorder.fault(Fault::Complained { who, what: line.to_owned() });
        }
    }
}

fn said_since(talk: &Path, from: u64) -> String {
    let bytes = fs::read(talk).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(0).min(bytes.len());
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

fn copy(from: &Path, to: &Path) -> Result<(), RunError> {
    let failed = |source| RunError::io("copying the data of a process", source);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (kind, target) = (entry.file_type().map_err(failed)?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target).map_err(failed)?;
        }
    }
    Ok(())
}

/// Flips a bit in the middle of every table file of a checkpoint database.
fn flip(checkpoints: &Path) -> Result<(), RunError> {
    let failed = |source| RunError::io("flipping bits", source);
    let mut flipped = 0;
    for entry in fs::read_dir(checkpoints).map_err(failed)?.flatten() {
        if entry.path().extension().is_some_and(|it| it == "sst") {
            let mut bytes = fs::read(entry.path()).map_err(failed)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(entry.path(), bytes).map_err(failed)?;
            flipped += 1;
        }
    }
    if flipped == 0 { Err(RunError::Failed("a checkpoint without files".to_owned())) } else { Ok(()) }
}
