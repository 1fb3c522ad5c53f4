//! A data directory with a small history, made without a server.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_contracts::command::{BatchBuilder, Command, DefineSale, Line, SetStock, SkuList};
use holdfast_contracts::decision::{BodyWriter, Envelope, write_chain, write_envelope};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{
    Chain, CustomerId, IntakeId, LogTime, Offset, OutSeq, PartitionId, RequestTag, ReservationId, SaleTerms,
};
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::rocks::CheckpointDb;
use holdfast_engine::{Sequencer, SequencerConfig, WorkerConfig};
use holdfast_intake::keys::IdKey;
use holdfast_log::{AppendError, EmbeddedConfig, EmbeddedLog, Layout, OrderedLog, StreamId, doorbell};

/// Nothing waits that long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PARTITIONS: u32 = 2;
pub(crate) const SKU: &str = "A1";
/// The key of reservation ids in a data directory.
pub(crate) const ID_KEY: &str = "reservation-id.key";

/// An id as tests number them.
pub(crate) fn id(n: u8) -> ReservationId {
    ReservationId([n; 16])
}

/// A server without an intake.
pub(crate) struct Offline {
    pub(crate) log: Arc<dyn OrderedLog>,
    sequencer: Sequencer<Machine>,
}

impl Offline {
    pub(crate) fn open(data: &Path) -> Self {
        Self::open_with(data, |_| {})
    }

    pub(crate) fn open_with(data: &Path, change: impl Fn(&mut EmbeddedConfig)) -> Self {
        std::fs::create_dir_all(data).expect("the directory can be made");
        IdKey::open_or_create(&data.join(ID_KEY)).expect("the key can be made");
        let mut config = EmbeddedConfig::new(Layout::inventory(PARTITIONS).expect("fine"));
        config.segment_bytes = 16 << 20;
        change(&mut config);
        let log: Arc<dyn OrderedLog> =
            Arc::new(EmbeddedLog::open(&data.join("log"), &config).expect("the log opens"));
        let db = Arc::new(CheckpointDb::open(&data.join("checkpoints")).expect("the database opens"));
        let each = |n| {
            let partition = PartitionId(n);
            (WorkerConfig::new(partition), MachineConfig::new(partition, PARTITIONS, log.log_id()))
        };
        let config =
            SequencerConfig { partitions: (0..PARTITIONS).map(each).collect(), threads: 1, standby: false };
        let sequencer = Sequencer::start(&log, &config, move |partition| db.partition(partition));
        Self { log, sequencer }
    }

    pub(crate) fn partition() -> PartitionId {
        partition_of(SKU, PARTITIONS)
    }

    pub(crate) fn append(&self, payload: &Bytes) {
        let stream = StreamId::inventory_commands(Self::partition());
        let (bell, mut listener) = doorbell();
        let _subscription = self.log.subscribe(stream, bell.waker());
        let deadline = Instant::now() + PATIENCE;
        let ticket = loop {
            match self.log.append(stream, payload.clone()) {
                Ok(ticket) => break ticket,
                // The next segment is still being prepared.
                Err(AppendError::Full) => listener.wait_until(deadline),
                Err(error) => panic!("the log does not take it: {error}"),
            };
            assert!(Instant::now() < deadline, "the log has no room");
        };
        ticket.wait(PATIENCE).expect("it is settled in time").expect("it is durable");
    }

    /// A record with one command, made by `push`.
    pub(crate) fn command(&self, push: impl FnOnce(&mut BatchBuilder)) {
        let mut builder = BatchBuilder::default();
        builder.start(IntakeId(1), RequestTag(0));
        push(&mut builder);
        self.append(&Bytes::copy_from_slice(builder.bytes()));
    }

    pub(crate) fn open_sale(&self, units: u64, terms: SaleTerms) {
        self.command(|builder| {
            let sku = builder.sku(SKU);
            builder.push(&Command::SetStock(SetStock {
                command_id: id(201),
                sku,
                on_hand: units,
                expected: None,
                force: false,
                reason: "delivery",
                reference: "D-1",
            }));
            let skus = [sku];
            builder.push(&Command::DefineSale(DefineSale {
                command_id: id(202),
                sale_id: "spring",
                terms,
                skus: SkuList::of(&skus),
            }));
            builder.push(&Command::OpenSale { sale_id: "spring" });
        });
    }

    pub(crate) fn reserve(&self, n: u8, customer: u64, quantity: u32) {
        self.command(|builder| {
            let sku = builder.sku(SKU);
            builder.reserve_one(id(n), CustomerId(customer), Line { sku, quantity });
        });
    }

    /// Waits until everything in the log is applied and answered.
    pub(crate) fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let end = self.log.watermarks(StreamId::inventory_commands(Self::partition())).end;
            let done = self.sequencer.ask(Self::partition(), move |_, status| status.next_offset >= end);
            if done.expect("it can be asked") == Some(true) {
                return;
            }
            assert!(Instant::now() < deadline, "the sequencer does not get there");
        }
    }

    /// Ends in an orderly way: with checkpoints.
    pub(crate) fn stop(self) {
        self.settle();
        self.sequencer.stop(PATIENCE);
        self.log.close();
    }
}

/// Appends a decision that no command gave: the partition of the test's SKU stops there.
pub(crate) fn forge_an_output(data: &Path) {
    let layout = Layout::inventory(PARTITIONS).expect("fine");
    let log = EmbeddedLog::open(&data.join("log"), &EmbeddedConfig::new(layout)).expect("the log opens");
    let mut forged = Vec::new();
    write_envelope(&mut forged, Envelope { source_offset: Offset(1), out_seq: OutSeq(1_000) });
    let mut body = BodyWriter::new(&mut forged);
    body.header(LogTime(1), IntakeId(0), RequestTag(0));
    body.rules_activated(2);
    write_chain(&mut forged, Chain::default());
    let ticket = log.append(StreamId::inventory_decisions(Offline::partition()), forged.into());
    ticket.expect("taken").wait(PATIENCE).expect("in time").expect("durable");
    log.close();
}
