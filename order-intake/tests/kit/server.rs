//! A server with everything real in it: the embedded log, the sequencer with RocksDB, and HTTP on a free port.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::{ControlKey, LogId, PartitionId};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{Sequencer, SequencerConfig, WorkerConfig, rocks::CheckpointDb};
use holdfast_intake::keys::DevelopmentKeys;
use holdfast_intake::{Intake, IntakeConfig};
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, StreamId};
use tempfile::TempDir;

use super::{Client, PATIENCE};

/// How often a server that will not be ready is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a server is made of.
pub(crate) struct Setting {
    pub(crate) partitions: u32,
    pub(crate) config: IntakeConfig,
    /// A log other than the embedded one.
    pub(crate) log: Option<Arc<dyn OrderedLog>>,
    /// The control key of the machines.
    pub(crate) control_key: Option<ControlKey>,
}

impl Default for Setting {
    fn default() -> Self {
        let config = IntakeConfig { listen: ([127, 0, 0, 1], 0).into(), ..IntakeConfig::default() };
        Self { partitions: 1, config, log: None, control_key: None }
    }
}

pub(crate) struct Server {
    pub(crate) intake: Intake,
    pub(crate) sequencer: Arc<Sequencer<Machine>>,
    pub(crate) log: Arc<dyn OrderedLog>,
    pub(crate) keys: DevelopmentKeys,
    partitions: u32,
    directory: TempDir,
}

fn open_log(directory: &Path, partitions: u32) -> Arc<dyn OrderedLog> {
    let layout = Layout::inventory(partitions).expect("a partition count");
    let mut config = EmbeddedConfig::new(layout);
    config.segment_bytes = 16 << 20;
    Arc::new(EmbeddedLog::open(&directory.join("log"), &config).expect("the log opens"))
}

fn machine(partition: PartitionId, partitions: u32, log_id: LogId) -> MachineConfig {
    MachineConfig { id_bins: 16, wheel_slots: 64, ..MachineConfig::new(partition, partitions, log_id) }
}

impl Server {
    /// A server that is ready.
    pub(crate) fn start() -> Self {
        Self::with(Setting::default())
    }

    pub(crate) fn with(setting: Setting) -> Self {
        let server = Self::begin(setting, tempfile::tempdir().expect("a directory"));
        assert!(server.intake.wait_until_ready(PATIENCE), "the server gets ready");
        server
    }

    /// A server that has begun to answer and is not ready, because a partition stands still.
    pub(crate) fn half_with(setting: Setting) -> Self {
        let server = Self::begin(setting, tempfile::tempdir().expect("a directory"));
        let deadline = Instant::now() + PATIENCE;
        while !server.intake.is_started() {
            assert!(!server.intake.wait_until_ready(LOOK), "nothing stands still");
            assert!(Instant::now() < deadline, "the server does not begin to answer");
        }
        server
    }

    fn begin(setting: Setting, directory: TempDir) -> Self {
        let Setting { partitions, mut config, log, control_key } = setting;
        let log = log.unwrap_or_else(|| open_log(directory.path(), partitions));
        let db =
            Arc::new(CheckpointDb::open(&directory.path().join("checkpoints")).expect("the database opens"));
        let worker = |it| {
            let partition = PartitionId(it);
            let machine = machine(partition, partitions, log.log_id());
            (WorkerConfig::new(partition), MachineConfig { control_key, ..machine })
        };
        let engine =
            SequencerConfig { partitions: (0..partitions).map(worker).collect(), threads: 1, standby: false };
        let sequencer = Arc::new(Sequencer::start(&log, &engine, move |partition| db.partition(partition)));
        config.data_dir = directory.path().join("data");
        let keys = DevelopmentKeys::open_or_create(&config.data_dir).expect("keys");
        let intake =
            Intake::start(Arc::clone(&log), Arc::clone(&sequencer), config).expect("the intake starts");
        Self { intake, sequencer, log, keys, partitions, directory }
    }

    /// Ends the server in an orderly way and starts it again on its data.
    pub(crate) fn restart(self) -> Self {
        let Self { intake, sequencer, log, partitions, directory, .. } = self;
        assert!(intake.shutdown(PATIENCE).drained);
        drop(intake);
        sequencer.stop(PATIENCE);
        drop(sequencer);
        log.close();
        drop(log);
        let server = Self::begin(Setting { partitions, ..Setting::default() }, directory);
        assert!(server.intake.wait_until_ready(PATIENCE), "the server gets ready again");
        server
    }

    pub(crate) fn data_dir(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn token(&self, subject: &str, scopes: &[&str]) -> String {
        self.keys.issue(subject, scopes, Duration::from_secs(3_600))
    }

    pub(crate) fn buyer(&self, name: &str) -> Client {
        Client::new(self.intake.local_addr(), &self.token(name, &[]))
    }

    pub(crate) fn admin(&self) -> Client {
        Client::new(self.intake.local_addr(), &self.token("operator", &["admin"]))
    }

    /// Puts units on the shelf.
    pub(crate) fn stock(&self, sku: &str, units: u64) {
        let body = format!(r#"{{"on_hand":{units},"reason":"test"}}"#);
        self.admin().put(&format!("/v1/admin/skus/{sku}/stock"), &body).expect(200);
    }

    /// Defines a sale of these SKUs, with these further terms.
    pub(crate) fn define(&self, sale: &str, skus: &[&str], terms: &str) {
        let skus = skus.join("\",\"");
        let body = format!(r#"{{"skus":["{skus}"]{terms}}}"#);
        self.admin().put(&format!("/v1/admin/sales/{sale}"), &body).expect(200);
    }

    pub(crate) fn change(&self, sale: &str, action: &str) {
        self.admin().post(&format!("/v1/admin/sales/{sale}/{action}"), "").expect(200);
    }

    /// An open sale of one SKU.
    pub(crate) fn sale(&self, sku: &str, units: u64, terms: &str) {
        self.stock(sku, units);
        self.define("sale", &[sku], terms);
        self.change("sale", "open");
    }

    /// Every command record so far, without the ticks that come by themselves.
    pub(crate) fn commands(&self) -> Vec<String> {
        let mut found = Vec::new();
        for partition in 0..self.partitions {
            let stream = StreamId::inventory_commands(PartitionId(partition));
            let mut records: Vec<holdfast_log::Record> = Vec::new();
            loop {
                let next = records.last().map_or_else(Default::default, |last| last.offset.next());
                if next >= self.log.watermarks(stream).end {
                    break;
                }
                self.log.read(stream, next, 1 << 20, &mut records).expect("commands can be read");
            }
            for record in &records {
                let (mut skus, mut commands) = (Vec::new(), Vec::new());
                holdfast_contracts::command::decode_batch(&record.payload, &mut skus, &mut commands)
                    .expect("a command record");
                let texts = commands.iter().map(|command| format!("{command:?}"));
                found.extend(texts.filter(|text| !text.starts_with("Tick")));
            }
        }
        found
    }
}
