//! What a lane makes of the decisions it reads.

use holdfast_contracts::decision::{BodyWriter, Envelope, write_chain, write_envelope};
use holdfast_contracts::{Chain, LogId, LogTime, OutSeq};
use holdfast_log::{Layout, SimulatedConfig, SimulatedLog};

use super::*;

const ONLY: PartitionId = PartitionId(0);
const DECISIONS: StreamId = StreamId::inventory_decisions(ONLY);
const OURS: IntakeId = IntakeId(1);

/// A decision record about nothing, for an intake; `chain` tells two histories apart.
fn decide(log: &SimulatedLog, seq: u64, intake: IntakeId, chain: u8) {
    let mut record = Vec::new();
    write_envelope(&mut record, Envelope { source_offset: Offset(seq), out_seq: OutSeq(seq) });
    BodyWriter::new(&mut record).header(LogTime(1), intake, RequestTag(seq));
    write_chain(&mut record, Chain([chain; 16]));
    log.append(DECISIONS, record.into()).expect("the log takes it");
}

fn log() -> SimulatedLog {
    SimulatedLog::new(SimulatedConfig::new(LogId([1; 16]), Layout::inventory(1).unwrap()))
}

fn lane(log: &SimulatedLog, readers: &ReaderMarks) -> Lane {
    Lane::new(ONLY, OURS, Arc::from([OURS]), 1, None, log, readers)
}

#[test]
fn what_a_lane_has_not_read_is_kept_for_it() {
    let (log, readers, mut waiters) = (log(), ReaderMarks::default(), Waiters::new(1));
    decide(&log, 1, IntakeId(9), 1);
    let mut lane = lane(&log, &readers);
    assert_eq!(readers.lowest(DECISIONS), Some(Offset(1)), "it reads on from where it began");
    decide(&log, 2, IntakeId(9), 2);
    decide(&log, 3, IntakeId(9), 3);
    assert_eq!(readers.lowest(DECISIONS), Some(Offset(1)));
    lane.read(&log, &mut waiters, &mut |_| {});
    assert_eq!(readers.lowest(DECISIONS), Some(Offset(3)));
    assert!(lane.has_heard_strangers());

    // One that cannot go on needs nothing any more.
    decide(&log, 3, IntakeId(9), 4);
    lane.read(&log, &mut waiters, &mut |_| {});
    assert!(lane.is_broken());
    assert_eq!(readers.lowest(DECISIONS), None);
}

#[test]
fn a_lane_reads_over_a_gap_and_goes_on_when_it_is_filled() {
    let (log, readers, mut waiters) = (log(), ReaderMarks::default(), Waiters::new(1));
    let mut lane = lane(&log, &readers);
    let mut read_and_tell = |numbers: &[u64]| {
        for &number in numbers {
            decide(&log, number, OURS, u8::try_from(number).unwrap());
        }
        lane.read(&log, &mut waiters, &mut |_| {});
        assert!(!lane.is_broken());
        lane.decided_before().0
    };
    assert_eq!(read_and_tell(&[1, 2]), 3);
    assert_eq!(read_and_tell(&[4, 5]), 3, "what follows a gap is not taken");
    // A zombie begins again further back, then somebody fills the gap and goes on.
    assert_eq!(read_and_tell(&[1, 2]), 3);
    assert_eq!(read_and_tell(&[3]), 4);
    assert_eq!(read_and_tell(&[4, 5, 6]), 7);
}

#[test]
fn decisions_that_were_forgotten_are_skipped() {
    let (log, readers, mut waiters) = (log(), ReaderMarks::default(), Waiters::new(1));
    let mut lane = lane(&log, &readers);
    for number in 1..=9 {
        decide(&log, number, OURS, 0);
    }
    log.trim(DECISIONS, Offset(7)).unwrap();
    lane.read(&log, &mut waiters, &mut |_| {});
    assert!(!lane.is_broken());
    lane.read(&log, &mut waiters, &mut |_| {});
    assert_eq!(lane.decided_before(), Offset(10));
}
