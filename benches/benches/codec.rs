//! The codec: records of 1,000 reservations built, read, answered, and the answers read. Time per command.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::command::{BatchScratch, Command, decode_batch};
use holdfast_contracts::decision::{
    BodyWriter, Envelope, Outcome, Reason, decode_decisions, write_chain, write_envelope,
};
use holdfast_contracts::{Chain, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId};

const COMMANDS: u32 = 1_000;

/// Writes the decision about one id.
type Answer = fn(&mut BodyWriter<'_>, ReservationId);

/// The ids of a record.
fn ids(record: &[u8]) -> Vec<ReservationId> {
    let mut commands = Vec::new();
    decode_batch(record, &mut Vec::new(), &mut commands).expect("our own record");
    let id = |command: &Command<'_>| match command {
        Command::Reserve(it) => Some(it.reservation_id),
        _ => None,
    };
    commands.iter().filter_map(id).collect()
}

fn answer(out: &mut Vec<u8>, ids: &[ReservationId], each: impl Fn(&mut BodyWriter<'_>, ReservationId)) {
    out.clear();
    write_envelope(out, Envelope { source_offset: Offset(1_000_000), out_seq: OutSeq(1_000_000) });
    let mut body = BodyWriter::new(out);
    body.header(LogTime(1_790_000_000_000), IntakeId(7), RequestTag(1 << 40));
    body.sku("SNEAKER-00000");
    ids.iter().for_each(|id| each(&mut body, *id));
    write_chain(out, Chain([7; 16]));
}

fn granted(body: &mut BodyWriter<'_>, id: ReservationId) {
    body.reserved_one(id, 600_000, 0, 1);
}

fn refused(body: &mut BodyWriter<'_>, id: ReservationId) {
    body.refused(Some(id), false, Reason::InsufficientStock, Some(0), 0);
}

fn read(record: &[u8]) -> usize {
    let batch = decode_decisions(record).expect("our own record");
    let granted = |outcome: &Outcome<'_>| matches!(outcome, Outcome::Reserved { .. });
    batch.decisions().filter_map(|decision| decision.outcome).filter(granted).count()
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(COMMANDS.into()));
    for kind in [Kind::Accept, Kind::Zipf] {
        let mut work = Work::new(kind, 1);
        group.bench_function(format!("build/{}", kind.name()), |bencher| {
            bencher.iter(|| black_box(work.record(COMMANDS)).len());
        });
        let record = work.record(COMMANDS).to_vec();
        let mut scratch = BatchScratch::default();
        group.bench_function(format!("decode/{}", kind.name()), |bencher| {
            bencher.iter(|| {
                let (mut skus, mut commands) = scratch.lend();
                decode_batch(&record, &mut skus, &mut commands).expect("our own record");
                let count = black_box(&commands).len();
                scratch.take_back(skus, commands);
                count
            });
        });
    }
    let ids = ids(&Work::new(Kind::Accept, 1).records(COMMANDS.into(), COMMANDS)[0]);
    let mut out = Vec::new();
    let answers: [(&str, Answer); 2] = [("granted", granted), ("refused", refused)];
    for (name, each) in answers {
        group.bench_function(format!("answer/{name}"), |bencher| {
            bencher.iter(|| answer(&mut out, &ids, each));
        });
        group.bench_function(format!("read/{name}"), |bencher| bencher.iter(|| read(&out)));
    }
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
