//! Holdfast on the broker: its topics, its log, its sequencer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_benches::clock::{process_cpu, since, thread_times};
use holdfast_benches::pipeline::{ONLY, Result};
use holdfast_contracts::LogId;
use holdfast_contracts::decision::{Outcome, decode_decisions};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{
    PartitionState, PartitionStatus, Sequencer, SequencerConfig, WorkerConfig, rocks::CheckpointDb,
};
use holdfast_log::{KafkaConfig, KafkaLog, KafkaLogOptions, Layout, OrderedLog, Topic};

use super::broker::{Broker, PATIENCE};
use super::passthrough::Run;
use super::producing::Counting;
use crate::group::Setup;

/// The topics of one log of one partition, which no other run had.
pub(crate) struct Topics<'a> {
    broker: &'a Broker,
    number: u64,
    config: KafkaConfig,
}

impl<'a> Topics<'a> {
    /// Makes them.
    pub(crate) fn make(broker: &'a Broker) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let config = KafkaConfig {
            topic_prefix: format!("ours-{number}."),
            ..KafkaConfig::new(broker.bootstrap(), format!("bench-{number}"))
        };
        let topics = Self { broker, number, config };
        broker.create(&topics.commands())?;
        broker.create(&topics.decisions())?;
        Ok(topics)
    }

    pub(crate) fn commands(&self) -> String {
        self.config.topic_name(Topic::InventoryCommands)
    }

    pub(crate) fn decisions(&self) -> String {
        self.config.topic_name(Topic::InventoryDecisions)
    }

    /// Opens the log on them, as each process does for itself.
    pub(crate) fn open(&self) -> Result<Arc<dyn OrderedLog>> {
        let mut id = [0x42; 16];
        id[..8].copy_from_slice(&self.number.to_le_bytes());
        let options = KafkaLogOptions::new(LogId(id), Layout::inventory(1)?);
        Ok(Arc::new(KafkaLog::open(&self.config, options)?))
    }

    /// Writes records into the commands topic, as any client may.
    pub(crate) fn fill(&self, opening: &[Bytes], records: &[Bytes]) -> Result<()> {
        let (producer, topic) = (Counting::quiet(self.broker)?, self.commands());
        for record in opening.iter().chain(records) {
            producer.send(&topic, None, record)?;
            producer.serve();
        }
        producer.drain()
    }

    /// Lets a sequencer decide all commands that wait in the topic, and looks at the decisions afterwards. The clock runs
    /// from the moment at which the sequencer has its memory and begins to read, until the last decision is acknowledged.
    pub(crate) fn decide(
        &self,
        setup: &Setup,
        opening: &[Bytes],
        records: &[Bytes],
        commands: u64,
    ) -> Result<Run> {
        let all = (opening.len() + records.len()) as u64;
        let directory = tempfile::tempdir_in(&setup.directory)?;
        let deciding = Deciding::start(self.open()?, directory.path(), usize::try_from(commands)?)?;
        deciding.wait_until_loaded()?;
        let (broker_cpu, threads) = (self.broker.cpu()?, thread_times());
        let (start, cpu) = (Instant::now(), process_cpu());
        deciding.wait_for(all)?;
        let (wall, client_cpu) = (start.elapsed(), process_cpu().saturating_sub(cpu));
        let (broker_cpu, threads) = (self.broker.cpu()?.saturating_sub(broker_cpu), since(&threads));
        deciding.stop();
        let verdict = self.verdict(all)?;
        if (verdict.granted, verdict.refused) != (commands, 0) {
            return Err(format!("of {commands} requests {} were granted", verdict.granted).into());
        }
        Ok(Run { commands, wall, client_cpu, broker_cpu, threads })
    }

    /// Counts the requests granted and refused in the decisions, which must follow one another without a gap.
    pub(crate) fn verdict(&self, records: u64) -> Result<Verdict> {
        let mut follower = self.broker.follower(&self.decisions(), 0)?;
        let (mut verdict, mut next_seq, deadline) = (Verdict::default(), None, Instant::now() + PATIENCE);
        while verdict.records < records {
            if Instant::now() > deadline {
                return Err(format!("there are only {} decision records", verdict.records).into());
            }
            follower.poll(|record| {
                let batch = decode_decisions(record.payload).map_err(|error| format!("{error:?}"))?;
                let seq = batch.envelope.out_seq.0;
                if next_seq.is_some_and(|next| next != seq) {
                    return Err(format!("output {seq} came in place of {next_seq:?}").into());
                }
                next_seq = Some(seq + 1);
                verdict.records += 1;
                for decision in batch.decisions() {
                    match decision.outcome {
                        Some(Outcome::Reserved { .. }) => verdict.granted += 1,
                        Some(Outcome::Refused { .. }) => verdict.refused += 1,
                        _ => {}
                    }
                }
                Ok(())
            })?;
        }
        Ok(verdict)
    }

    /// Removes them.
    pub(crate) fn delete(self) -> Result<()> {
        self.broker.delete(&[&self.commands(), &self.decisions()])
    }
}

/// What the decisions say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Verdict {
    pub(crate) records: u64,
    pub(crate) granted: u64,
    pub(crate) refused: u64,
}

/// A sequencer with the real machine and checkpoints in RocksDB.
pub(crate) struct Deciding {
    log: Arc<dyn OrderedLog>,
    sequencer: Sequencer<Machine>,
}

impl Deciding {
    /// Starts it. `room` is what an operator tells it to expect before a sale.
    pub(crate) fn start(log: Arc<dyn OrderedLog>, directory: &Path, room: usize) -> Result<Self> {
        let db = Arc::new(CheckpointDb::open(&directory.join("checkpoints"))?);
        let machine = MachineConfig {
            room_for_ids: room,
            room_for_holds: room,
            ..MachineConfig::new(ONLY, 1, log.log_id())
        };
        let config = SequencerConfig {
            partitions: vec![(WorkerConfig::new(ONLY), machine)],
            threads: 1,
            standby: false,
        };
        let sequencer = Sequencer::start(&log, &config, move |partition| db.partition(partition));
        Ok(Self { log, sequencer })
    }

    /// Waits until it has read its checkpoint, if there is one, and has its memory.
    fn wait_until_loaded(&self) -> Result<()> {
        self.wait_until("nothing was loaded", |status| status.state.name() != "loading")
    }

    /// Waits until so many records are decided and the decisions are acknowledged.
    pub(crate) fn wait_for(&self, records: u64) -> Result<()> {
        self.wait_until("not everything was decided", |status| {
            status.next_offset.0 >= records && status.outputs_unacknowledged == 0 && status.is_live()
        })
    }

    fn wait_until(&self, otherwise: &str, done: impl Fn(&PartitionStatus) -> bool) -> Result<()> {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let status = self.sequencer.statuses().remove(0);
            if done(&status) {
                return Ok(());
            }
            if let PartitionState::Stopped(reason) = &status.state {
                return Err(format!("the partition stopped: {reason}").into());
            }
            if Instant::now() > deadline {
                return Err(format!("{otherwise}, only up to record {}", status.next_offset).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(self) {
        self.sequencer.stop(PATIENCE);
        self.log.close();
    }
}
