//! Several intakes, as if each were a process of its own: each follows the log with machines that never emit. Whoever decides is
//! a process of its own as well, or nobody.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_contracts::{LogId, LogTime, PartitionId};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{Assignment, Sequencer, SequencerConfig, WorkerConfig, rocks::CheckpointDb};
use holdfast_intake::keys::DevelopmentKeys;
use holdfast_intake::{Intake, IntakeConfig};
use holdfast_log::simulated::View;
use holdfast_log::{Layout, OrderedLog, SimulatedConfig, SimulatedLog};
use tempfile::TempDir;

use super::{Client, PATIENCE};

/// An intake and the machines it looks at.
pub(crate) struct Following {
    pub(crate) view: Arc<View>,
    pub(crate) sequencer: Arc<Sequencer<Machine>>,
    pub(crate) intake: Intake,
}

pub(crate) struct Tier {
    pub(crate) log: Arc<SimulatedLog>,
    pub(crate) keys: DevelopmentKeys,
    partitions: u32,
    directory: TempDir,
}

impl Tier {
    pub(crate) fn new(partitions: u32) -> Self {
        let layout = Layout::inventory(partitions).expect("a partition count");
        let log = Arc::new(SimulatedLog::new(SimulatedConfig::new(LogId([7; 16]), layout)));
        let directory = tempfile::tempdir().expect("a directory");
        let keys = DevelopmentKeys::open_or_create(&directory.path().join("data")).expect("keys");
        let tier = Self { log, keys, partitions, directory };
        tier.let_time_pass();
        tier
    }

    /// The log's clock is set to the present.
    pub(crate) fn let_time_pass(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        self.log.set_clocks(LogTime(u64::try_from(now.as_millis()).expect("not that late")));
    }

    /// Machines of one more process.
    pub(crate) fn run(&self, name: &str, to: Assignment) -> (Arc<View>, Arc<Sequencer<Machine>>) {
        let view = Arc::new(self.log.view());
        let port = Arc::clone(&view) as Arc<dyn OrderedLog>;
        let db = CheckpointDb::open(&self.directory.path().join(name)).expect("the database opens");
        let db = Arc::new(db);
        let worker = |number| {
            let partition = PartitionId(number);
            let machine = MachineConfig::new(partition, self.partitions, port.log_id());
            (WorkerConfig::new(partition), MachineConfig { id_bins: 16, wheel_slots: 64, ..machine })
        };
        let partitions = (0..self.partitions).map(worker).collect();
        let config = SequencerConfig { partitions, threads: 1, standby: false };
        let sequencer = Sequencer::start_unassigned(&port, &config, move |partition| db.partition(partition));
        for partition in (0..self.partitions).map(PartitionId) {
            sequencer.set_assignment(partition, to).expect("it is run here");
        }
        (view, Arc::new(sequencer))
    }

    /// Somebody who decides.
    pub(crate) fn owner(&self) -> Arc<Sequencer<Machine>> {
        self.run("owner", Assignment::Active).1
    }

    /// One more intake. All have the same keys.
    pub(crate) fn intake(&self, name: &str) -> Following {
        let (view, sequencer) = self.run(name, Assignment::Standby);
        let config = IntakeConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: self.directory.path().join("data"),
            ..IntakeConfig::default()
        };
        let port = Arc::clone(&view) as Arc<dyn OrderedLog>;
        let intake = Intake::start(port, Arc::clone(&sequencer), config).expect("the intake starts");
        Following { view, sequencer, intake }
    }

    pub(crate) fn client(&self, of: &Following, subject: &str, scopes: &[&str]) -> Client {
        let token = self.keys.issue(subject, scopes, Duration::from_secs(3_600));
        Client::new(of.intake.local_addr(), &token)
    }

    pub(crate) fn buyer(&self, of: &Following, name: &str) -> Client {
        self.client(of, name, &[])
    }

    /// An open sale of these SKUs, arranged by way of this intake.
    pub(crate) fn sale(&self, of: &Following, skus: &[&str], units: u64) {
        assert!(of.intake.wait_until_ready(PATIENCE), "it gets ready");
        let mut admin = self.client(of, "operator", &["admin"]);
        for sku in skus {
            let body = format!(r#"{{"on_hand":{units},"reason":"test"}}"#);
            admin.put(&format!("/v1/admin/skus/{sku}/stock"), &body).expect(200);
        }
        let body = format!(r#"{{"skus":["{}"]}}"#, skus.join("\",\""));
        admin.put("/v1/admin/sales/sale", &body).expect(200);
        admin.post("/v1/admin/sales/sale/open", "").expect(200);
    }
}
