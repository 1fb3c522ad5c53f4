//! A sequencer on a real broker, with a control key, and a sale in every partition.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{
    ControlKey, CustomerId, IntakeId, PartitionId, RequestTag, ReservationId, SaleTerms,
};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{Sequencer, SequencerConfig, WorkerConfig};
use holdfast_kafka_kit::Brokers;
use holdfast_log::kafka::topics::{TopicsSpec, create};
use holdfast_log::kafka::{Profile, lookup};
use holdfast_log::{KafkaConfig, KafkaLog, KafkaLogOptions, OrderedLog, StreamId, Topic, doorbell};

use super::PARTITIONS;
use crate::clients::Place;

/// Nothing takes that long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether what is waited for has come, when nothing rings.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Service {
    log: Arc<dyn OrderedLog>,
    sequencer: Sequencer<Machine>,
    config: KafkaConfig,
    key: ControlKey,
}

impl Service {
    pub(crate) fn start(brokers: &Brokers, directory: &Path) -> Self {
        let key = ControlKey::new(&[7; 32]);
        let config = KafkaConfig {
            topic_prefix: "clients.".to_owned(),
            ..KafkaConfig::new(brokers.bootstrap(), "foreign-clients")
        };
        let made = create(&config, &TopicsSpec::new(PARTITIONS, Profile::Single)).expect("topics");
        assert_eq!(made.findings, []);
        let on = lookup(&config).expect("the log is there");
        let log = KafkaLog::open(&config, KafkaLogOptions::new(on.log_id, on.layout)).expect("it opens");
        let log: Arc<dyn OrderedLog> = Arc::new(log);
        let db = Arc::new(CheckpointDb::open(directory).expect("the database opens"));
        let each = |n| {
            let machine = MachineConfig::new(PartitionId(n), PARTITIONS, on.log_id);
            (WorkerConfig::new(PartitionId(n)), MachineConfig { control_key: Some(key), ..machine })
        };
        let partitions = (0..PARTITIONS).map(each).collect();
        let settings = SequencerConfig { partitions, threads: 1, standby: false };
        let sequencer = Sequencer::start(&log, &settings, move |partition| db.partition(partition));
        Self { log, sequencer, config, key }
    }

    pub(crate) fn topic(&self, topic: Topic) -> String {
        self.config.topic_name(topic)
    }

    /// Puts so many units of each on the shelf and opens a sale of them.
    pub(crate) fn sell(&self, skus: &[String], units: u64) {
        for partition in (0..PARTITIONS).map(PartitionId) {
            let mut builder = BatchBuilder::default();
            builder.start(IntakeId(0), RequestTag(0));
            let own = skus.iter().filter(|sku| partition_of(sku, PARTITIONS) == partition);
            let indexes: Vec<u32> = own.map(|sku| builder.sku(sku)).collect();
            for &sku in &indexes {
                builder.push(&Command::SetStock(SetStock {
                    command_id: ReservationId((u128::from(sku) << 64).to_be_bytes()),
                    sku,
                    on_hand: units,
                    expected: None,
                    force: false,
                    reason: "test",
                    reference: "",
                }));
            }
            builder.push(&Command::DefineSale(DefineSale {
                command_id: ReservationId([0xff; 16]),
                sale_id: "sale",
                terms: SaleTerms::default(),
                skus: SkuList::of(&indexes),
            }));
            builder.push(&Command::OpenSale { sale_id: "sale" });
            self.append(partition, builder.record_for(Some(&self.key), self.log.log_id(), partition));
        }
    }

    fn append(&self, partition: PartitionId, record: Vec<u8>) {
        let ticket = self.log.append(StreamId::inventory_commands(partition), record.into());
        let ticket = ticket.expect("the log takes it");
        ticket.wait(PATIENCE).expect("it is settled in time").expect("it is durable");
    }

    /// Waits until all of these are decided, and their decisions are in the log.
    pub(crate) fn wait_for(&self, places: &[Place]) {
        let deadline = Instant::now() + PATIENCE;
        let (bell, mut listener) = doorbell();
        let decisions = (0..PARTITIONS).map(PartitionId).map(StreamId::inventory_decisions);
        let subscriptions: Vec<_> =
            decisions.map(|stream| self.log.subscribe(stream, bell.waker())).collect();
        loop {
            let statuses = self.sequencer.statuses();
            let is_decided = |place: &Place| {
                let status = statuses.iter().find(|it| it.partition.0 == place.partition);
                let status = status.expect("every partition is run");
                status.next_offset.0 > place.offset && status.outputs_unacknowledged == 0
            };
            if places.iter().all(is_decided) {
                break;
            }
            assert!(Instant::now() < deadline, "not decided in time: {statuses:?}");
            listener.wait_until(deadline.min(Instant::now() + LOOK));
        }
        drop(subscriptions);
    }

    pub(crate) fn stop(self) {
        assert!(self.sequencer.stop(PATIENCE), "the last checkpoints are written");
        self.log.close();
    }
}

/// A record of one reservation of one unit.
pub(crate) fn reservation(id: u128, sku: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(0), RequestTag(0));
    let sku = builder.sku(sku);
    builder.reserve_one(ReservationId(id.to_be_bytes()), CustomerId(9), Line { sku, quantity: 1 });
    builder.bytes().to_vec()
}

/// A record with a control command, and a code if there is a key.
pub(crate) fn control(key: Option<&ControlKey>, sku: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    builder.start(IntakeId(0), RequestTag(0));
    let sku = builder.sku(sku);
    builder.push(&Command::SetStock(SetStock {
        command_id: ReservationId([0xee; 16]),
        sku,
        on_hand: 1_000_000,
        expected: None,
        force: true,
        reason: "ours now",
        reference: "",
    }));
    builder.record_for(key, holdfast_contracts::LogId::default(), PartitionId(0))
}
