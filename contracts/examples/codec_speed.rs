//! Nanoseconds per command that the codec costs, on batches of 1,000 reservations of one unit.
//!
//! `cargo run --release -p holdfast-contracts --example codec_speed`. Prints the best and the median of many rounds:
//! the best is what the code costs, the distance to the median what the machine adds. The benches room keeps the history.
#![expect(clippy::print_stdout, reason = "a measurement for people to read")]

use holdfast_contracts::command::{BatchBuilder, BatchScratch, Command, Line, decode_batch};
use holdfast_contracts::decision::{
    BodyWriter, Envelope, Outcome, Reason, decode_decisions, write_chain, write_envelope,
};
use holdfast_contracts::{Chain, CustomerId, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId};
use std::hint::black_box;
use std::time::Instant;

const COMMANDS: u32 = 1_000;
const BATCHES_PER_ROUND: u32 = 200;
const ROUNDS: usize = 100;

fn main() {
    let requests: Vec<(ReservationId, CustomerId)> = (0..COMMANDS).map(request).collect();

    let mut builder = BatchBuilder::default();
    measure("build, reserve_one", || {
        build(&mut builder, &requests);
        builder.bytes().len()
    });

    let record = builder.bytes().to_vec();
    let mut scratch = BatchScratch::default();
    measure("decode, decode_batch", || {
        let (mut skus, mut commands) = scratch.lend();
        decode_batch(&record, &mut skus, &mut commands).expect("our own record");
        let len = black_box(&commands).len();
        scratch.take_back(skus, commands);
        len
    });
    measure("decode and read each line", || {
        let (mut skus, mut commands) = scratch.lend();
        decode_batch(&record, &mut skus, &mut commands).expect("our own record");
        let units = commands.iter().map(units_asked).sum::<u64>();
        scratch.take_back(skus, commands);
        usize::try_from(units).expect("a thousand")
    });

    let mut granted = Vec::new();
    measure("write decision, reserved_one", || {
        answer(&mut granted, &requests, |body, id| body.reserved_one(id, 600_000, 0, 1));
        granted.len()
    });
    let mut refused = Vec::new();
    measure("write decision, refused", || {
        answer(&mut refused, &requests, |body, id| {
            body.refused(Some(id), false, Reason::InsufficientStock, Some(0), 0);
        });
        refused.len()
    });
    measure("check decisions, granted", || {
        decode_decisions(&granted).expect("our own record").skus().count()
    });
    measure("check and read decisions, granted", || read(&granted));
    measure("check and read decisions, refused", || read(&refused));
    println!("bytes per command {:.1}", record.len() as f64 / f64::from(COMMANDS));
    println!("bytes per grant {:.1}", granted.len() as f64 / f64::from(COMMANDS));
    println!("bytes per refusal {:.1}", refused.len() as f64 / f64::from(COMMANDS));
}

fn request(n: u32) -> (ReservationId, CustomerId) {
    let half = (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = (u128::from(half) << 64) | u128::from(half.rotate_left(17));
    (ReservationId(id.to_le_bytes()), CustomerId(half ^ 0x5555))
}

fn build(builder: &mut BatchBuilder, requests: &[(ReservationId, CustomerId)]) {
    builder.start(IntakeId(7), RequestTag(1 << 40));
    for (id, customer) in requests {
        let sku = builder.sku("SNEAKER-42");
        builder.reserve_one(*id, *customer, Line { sku, quantity: 1 });
    }
}

fn units_asked(command: &Command<'_>) -> u64 {
    match command {
        Command::Reserve(it) => it.lines.single().map_or(0, |line| u64::from(line.quantity)),
        _ => 0,
    }
}

fn answer(
    out: &mut Vec<u8>,
    requests: &[(ReservationId, CustomerId)],
    each: impl Fn(&mut BodyWriter<'_>, ReservationId),
) {
    out.clear();
    write_envelope(out, Envelope { source_offset: Offset(1_000_000), out_seq: OutSeq(1_000_000) });
    let mut body = BodyWriter::new(out);
    body.header(LogTime(1_790_000_000_000), IntakeId(7), RequestTag(1 << 40));
    body.sku("SNEAKER-42");
    for (id, _) in requests {
        each(&mut body, *id);
    }
    write_chain(out, Chain([7; 16]));
}

fn read(record: &[u8]) -> usize {
    let batch = decode_decisions(record).expect("our own record");
    let mut sum = 0;
    for decision in batch.decisions() {
        let units = match decision.outcome {
            Some(Outcome::Reserved { lines, .. }) => lines.iter().map(|line| line.granted()).sum(),
            Some(Outcome::Refused { sku, .. }) => sku.unwrap_or(7),
            _ => 0,
        };
        sum += u64::from(black_box(units)) + u64::from(decision.id.is_some());
    }
    usize::try_from(sum).expect("a few thousand")
}

/// Runs `batch`, which handles 1,000 commands, and prints what one of them took.
fn measure(what: &str, mut batch: impl FnMut() -> usize) {
    let mut rounds = [0.0f64; ROUNDS];
    for round in &mut rounds {
        let start = Instant::now();
        for _ in 0..BATCHES_PER_ROUND {
            black_box(batch());
        }
        *round = start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCHES_PER_ROUND * COMMANDS);
    }
    rounds.sort_by(f64::total_cmp);
    println!("{what:<36} best {:6.1} ns   median {:6.1} ns", rounds[0], rounds[ROUNDS / 2]);
}
