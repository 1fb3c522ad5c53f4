//! A warm standby takes over a partition: from the moment the owner is gone until the next request is answered.

use std::time::{Duration, Instant};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::{COMMANDS, DECISIONS, ONLY, PATIENCE, Pipeline, Result, Settings};
use holdfast_benches::work::{Kind, Work};
use holdfast_contracts::Offset;
use holdfast_contracts::decision::decode_decisions;
use holdfast_log::doorbell;

use crate::group::Setup;
use crate::row::{Goal, Measured, Row};

pub(crate) const ROWS: &[&str] = &["takeover"];

const PER_RECORD: u32 = 512;
/// Requests that have just been accepted when the owner goes, in every other round.
const BURST: u64 = 100_000;

/// Waits until the standby has seen everything the owner has.
fn wait_for_standby(pipeline: &Pipeline) -> Result<()> {
    pipeline.wait_for("the standby to have caught up", || {
        let active = pipeline.sequencer.statuses().remove(0);
        let end = pipeline.log.watermarks(COMMANDS).end;
        let standby = pipeline.sequencer.standby_status(ONLY).filter(|standby| standby.is_live());
        let ready = |standby: &_| active.is_live() && active.next_offset >= end && follows(standby, &active);
        Ok(standby.filter(ready).map(drop))
    })
}

fn follows(standby: &holdfast_engine::PartitionStatus, active: &holdfast_engine::PartitionStatus) -> bool {
    standby.next_offset >= active.next_offset
}

/// Appends one request and waits for its answer.
fn ask(pipeline: &Pipeline, work: &mut Work) -> Result<()> {
    let (bell, mut listener) = doorbell();
    let _subscription = pipeline.log.subscribe(DECISIONS, bell.waker());
    let mut next = pipeline.log.watermarks(DECISIONS).end;
    let ticket = pipeline.log.append(COMMANDS, work.records(1, 1).remove(0))?;
    let asked = ticket.wait(PATIENCE).ok_or("the log does not answer")??.offset;
    let (deadline, mut records) = (Instant::now() + PATIENCE, Vec::new());
    while Instant::now() < deadline {
        listener.take();
        pipeline.log.read(DECISIONS, next, 1 << 20, &mut records)?;
        for record in records.drain(..) {
            next = record.offset.next();
            if answers(&record.payload)? >= asked {
                return Ok(());
            }
        }
        if pipeline.log.watermarks(DECISIONS).end == next {
            listener.wait_until(Instant::now() + Duration::from_millis(50));
        }
    }
    Err("a request was not answered".into())
}

/// The command record that a decision record answers.
fn answers(payload: &[u8]) -> Result<Offset> {
    let batch = decode_decisions(payload).map_err(|error| format!("{error:?}"))?;
    Ok(batch.envelope.source_offset)
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let remembered = setup.size(2_000_000, 100_000);
    let rounds = setup.size(20, 4);
    let settings = Settings { standby: true, ..Settings::default() };
    let pipeline = Pipeline::open(&setup.directory, &settings)?;
    let mut work = Work::new(Kind::Mixed, 1);
    let all = remembered + rounds * (BURST + 1);
    pipeline.prepare(&work.opening(2 * all))?;
    pipeline.run(&work.records(remembered, PER_RECORD), remembered, 128)?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let burst = if round % 2 == 1 { work.records(BURST, PER_RECORD) } else { Vec::new() };
        wait_for_standby(&pipeline)?;
        for record in &burst {
            pipeline.log.append(COMMANDS, record.clone())?;
        }
        let start = Instant::now();
        pipeline.sequencer.fail_over(ONLY)?;
        ask(&pipeline, &mut work)?;
        let took = start.elapsed().as_secs_f64();
        if burst.is_empty() { idle.push(took) } else { busy.push(took) }
    }
    let ids = pipeline.sequencer.ask(ONLY, |machine, _| machine.sizes().ids)?.ok_or("it is not live")?;
    pipeline.sequencer.stop(PATIENCE);
    drop(pipeline);
    let start = Instant::now();
    let pipeline = Pipeline::open(&setup.directory, &Settings::default())?;
    pipeline.wait_until_live()?;
    let cold = start.elapsed().as_secs_f64();
    let most = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    let row = Measured::new("takeover", most(&idle).max(most(&busy)), "s")
        .peer("start without a standby, from a checkpoint with nothing to replay", cold)
        .with("median_when_idle", median(&idle).unwrap_or_default())
        .with("median_with_a_burst_before", median(&busy).unwrap_or_default())
        .with("longest_when_idle", most(&idle))
        .with("longest_with_a_burst_before", most(&busy))
        .with("requests_in_a_burst", BURST)
        .with("ids_remembered", ids)
        .with("takeovers", rounds)
        .goals(&[Goal::AtMost(0.5)]);
    Ok(vec![row])
}
