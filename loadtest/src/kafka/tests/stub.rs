//! A log in memory, and somebody who grants whatever is asked for in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use holdfast_contracts::command::{Command, decode_batch};
use holdfast_contracts::decision::{
    BodyWriter, DecisionBatch, Envelope, HoldState, Moved, write_chain, write_envelope,
};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{
    Chain, IntakeId, LogId, LogTime, Offset, OutSeq, PartitionId, RequestTag, ReservationId,
};
use holdfast_log::simulated::SimulatedConfig;
use holdfast_log::{Layout, OrderedLog, SimulatedLog, StreamId, doorbell};

use super::super::follower::Follower;
use super::super::{Ids, LogOnKafka, Noted, Post, ends};
use super::{Arc, Ask, Duration, KafkaConfig, Mutex};

/// When everything in these tests is decided.
pub(super) const LOG_TIME: LogTime = LogTime(1_000_000);

/// A log with so many partitions, and commands that go in records of what is due within a millisecond.
pub(super) fn post(partitions: u32) -> Post {
    let layout = Layout::inventory(partitions).unwrap();
    let log_id = LogId([1; 16]);
    let log: Arc<dyn OrderedLog> = Arc::new(SimulatedLog::new(SimulatedConfig::new(log_id, layout)));
    Post {
        config: KafkaConfig::new("nowhere:1", "test"),
        found: LogOnKafka { log_id, cluster_id: String::new(), layout },
        began: ends(log.as_ref()).unwrap(),
        log,
        linger: Duration::from_millis(1),
        ids: Ids::of(5),
        noted: Mutex::new(Noted::default()),
    }
}

/// A record of commands.
pub(super) struct Record {
    pub(super) ids: Vec<ReservationId>,
    pub(super) intake: IntakeId,
    pub(super) first_tag: u64,
    pub(super) skus: usize,
    offset: Offset,
}

/// The records of commands from some offset on.
fn records_from(post: &Post, partition: PartitionId, from: Offset) -> Vec<Record> {
    let (mut records, mut found) = (Vec::new(), Vec::new());
    post.log.read(StreamId::inventory_commands(partition), from, 64 << 20, &mut records).unwrap();
    for record in &records {
        let (mut skus, mut commands) = (Vec::new(), Vec::new());
        let header = decode_batch(&record.payload, &mut skus, &mut commands).unwrap();
        let id = |command: &Command<'_>| match command {
            Command::Reserve(it) => it.reservation_id,
            Command::Confirm { reservation_id, .. } | Command::Release { reservation_id, .. } => {
                *reservation_id
            }
            other => panic!("no buyer asks for {other:?}"),
        };
        found.push(Record {
            ids: commands.iter().map(id).collect(),
            intake: header.intake_id,
            first_tag: header.first_request_tag.0,
            skus: skus.len(),
            offset: record.offset,
        });
    }
    found
}

/// All records of commands.
pub(super) fn records_of(post: &Post, partition: PartitionId) -> Vec<Record> {
    records_from(post, partition, Offset(0))
}

/// The id of what somebody reserves.
pub(super) fn ids_of(post: &Post, ask: &Ask, skus: &[String]) -> ReservationId {
    let Ask::Reserve { key, body } = ask else { panic!("{ask:?} reserves nothing") };
    let (sku, _) = body.lines().iter().next().unwrap();
    post.ids.reservation(*key, partition_of(&skus[usize::from(sku.0)], post.partitions()))
}

/// What a reservation became.
pub(super) fn moved(state: HoldState) -> Moved {
    Moved { state, expires_after_ms: 0, unchanged: false, late: false, replay: false }
}

/// Appends a decision for nobody in particular.
pub(super) fn decide(
    post: &Post,
    partition: PartitionId,
    number: u64,
    chain: Chain,
    fill: impl FnOnce(&mut BodyWriter<'_>),
) {
    let record = Record { ids: vec![], intake: IntakeId(0), first_tag: 0, skus: 0, offset: Offset(number) };
    answer(post, partition, &record, number, chain, fill);
}

fn answer(
    post: &Post,
    partition: PartitionId,
    record: &Record,
    number: u64,
    chain: Chain,
    fill: impl FnOnce(&mut BodyWriter<'_>),
) {
    let mut bytes = Vec::new();
    write_envelope(&mut bytes, Envelope { source_offset: record.offset, out_seq: OutSeq(number) });
    let mut body = BodyWriter::new(&mut bytes);
    body.header(LOG_TIME, record.intake, RequestTag(record.first_tag));
    fill(&mut body);
    write_chain(&mut bytes, chain);
    post.log.append(StreamId::inventory_decisions(partition), bytes.into()).unwrap();
}

/// Reads all decisions of the first partition.
pub(super) fn decisions(post: &Post, mut take: impl FnMut(&DecisionBatch<'_>)) {
    let mut follower = Follower::new(PartitionId(0), Offset(0));
    while follower.read(post.log.as_ref(), |batch, _| take(batch)) {}
}

/// Grants two units of the only SKU of each command while something else is done. Says how many commands that were.
///
/// Commands for one SKU stand for all: the name that is told is the one that the id was made for.
pub(super) fn deciding(post: &Post, meanwhile: impl FnOnce()) -> usize {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let decided = scope.spawn(|| {
            let (bell, mut listener) = doorbell();
            let partitions = (0..post.partitions()).map(PartitionId);
            let commands = partitions.clone().map(StreamId::inventory_commands);
            let _woken: Vec<_> = commands.map(|it| post.log.subscribe(it, bell.waker())).collect();
            let mut next = vec![(Offset(0), 0); partitions.clone().count()];
            let mut decided = 0;
            while !is_over.load(Ordering::SeqCst) {
                listener.take();
                for (partition, (from, number)) in partitions.clone().zip(&mut next) {
                    decided += grant(post, partition, from, number);
                }
                listener.wait_until(Instant::now() + Duration::from_millis(20));
            }
            decided
        });
        meanwhile();
        is_over.store(true, Ordering::SeqCst);
        decided.join().unwrap()
    })
}

fn grant(post: &Post, partition: PartitionId, from: &mut Offset, number: &mut u64) -> usize {
    let mut decided = 0;
    let mut records = Vec::new();
    post.log.read(StreamId::inventory_commands(partition), *from, 1 << 20, &mut records).unwrap();
    for (record, plain) in records_from(post, partition, *from).iter().zip(&records) {
        let (mut names, mut commands) = (Vec::new(), Vec::new());
        decode_batch(&plain.payload, &mut names, &mut commands).unwrap();
        (*from, *number) = (record.offset.next(), *number + 1);
        answer(post, partition, record, *number, Chain([0; 16]), |body| {
            let skus: Vec<u32> = names.iter().map(|name| body.sku(name)).collect();
            for (id, command) in record.ids.iter().zip(&commands) {
                let Command::Reserve(reserve) = command else { panic!("only reservations are granted") };
                let line = reserve.lines.single().unwrap();
                body.reserved_one(*id, 60_000, skus[line.sku as usize], line.quantity);
            }
        });
        decided += record.ids.len();
    }
    decided
}
