//! The hot path allocates nothing per command, counted by the allocator itself.

use holdfast_contracts::command::{BatchBuilder, BatchScratch, Command, Line, decode_batch};
use holdfast_contracts::decision::{
    BodyWriter, Envelope, FirstDecided, Granted, HoldState, Moved, Outcome, Reason, decode_decisions,
    write_chain, write_envelope,
};
use holdfast_contracts::{Chain, CustomerId, IntakeId, LogTime, Offset, OutSeq, RequestTag, ReservationId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(
    unsafe_code,
    reason = "the only way to count allocations; everything is handed on to the system's allocator"
)]
// SAFETY: the calls go to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as our caller promised.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn id(n: u32) -> ReservationId {
    ReservationId(u128::from(n).to_be_bytes())
}

/// A record with every shape a busy sale sends, and one reservation whose lines make it long.
fn build(builder: &mut BatchBuilder) {
    builder.start(IntakeId(1), RequestTag(1));
    for n in 0..500 {
        let sku = builder.sku(["A1", "B2", "C3"][n as usize % 3]);
        let line = Line { sku, quantity: 1 + n % 300 };
        builder.reserve_one(id(n), CustomerId(n.into()), line);
        builder.reserve(id(n), CustomerId(n.into()), &[line; 32], true, false);
        builder.push(&Command::Confirm {
            reservation_id: id(n),
            customer: CustomerId(n.into()),
            reacquire: true,
        });
        builder.push(&Command::Release { reservation_id: id(n), customer: CustomerId(0) });
    }
}

fn decode(record: &[u8], scratch: &mut BatchScratch) {
    let (mut skus, mut commands) = scratch.lend();
    decode_batch(record, &mut skus, &mut commands).expect("our own record");
    assert_eq!(commands.len(), 2_000);
    scratch.take_back(skus, commands);
}

fn answer(out: &mut Vec<u8>) {
    out.clear();
    write_envelope(out, Envelope { source_offset: Offset(1), out_seq: OutSeq(1) });
    let mut body = BodyWriter::new(out);
    body.header(LogTime(1), IntakeId(1), RequestTag(1));
    let sku = body.sku("A1");
    let lines = [Granted { sku, quantity: 2, missing: 1 }; 32];
    for n in 0..500 {
        body.reserved_one(id(n), 600_000, sku, 1);
        body.reserved(id(n), 600_000, &lines, Some(FirstDecided { ago_ms: 1, offset: 2, index: 3 }));
        body.refused(Some(id(n)), false, Reason::InsufficientStock, Some(sku), 0);
        let moved = Moved {
            state: HoldState::Confirmed,
            expires_after_ms: 0,
            unchanged: false,
            late: false,
            replay: false,
        };
        body.moved(id(n), moved, &lines[..1]);
        body.nothing();
    }
    write_chain(out, Chain::default());
}

fn read(record: &[u8]) {
    let batch = decode_decisions(record).expect("our own record");
    let mut lines_seen = 0;
    for decision in batch.decisions() {
        if let Some(Outcome::Reserved { lines, .. } | Outcome::Moved { lines, .. }) = decision.outcome {
            lines_seen += lines.iter().count();
        }
    }
    assert_eq!(lines_seen, 500 * 34);
}

#[test]
fn nothing_is_allocated_once_the_memory_is_there() {
    let (mut builder, mut scratch, mut decisions) =
        (BatchBuilder::default(), BatchScratch::default(), Vec::new());
    let mut round = || {
        build(&mut builder);
        decode(builder.bytes(), &mut scratch);
        answer(&mut decisions);
        read(&decisions);
    };
    assert!(allocations_of(&mut round) > 0, "the counter counts");
    assert_eq!(allocations_of(&mut round), 0);
}
