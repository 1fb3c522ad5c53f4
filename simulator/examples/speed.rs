//! How fast the parts of the simulator are, each alone on one core. Prints decisions per second.

use std::io::Write;
use std::time::{Duration, Instant};

use holdfast_simulator::audit::Auditor;
use holdfast_simulator::compare::compare;
use holdfast_simulator::encode::write_body;
use holdfast_simulator::generate::{Generator, Lengths};
use holdfast_simulator::model::Model;

use holdfast_contracts::decision::{Envelope, write_chain, write_envelope};
use holdfast_contracts::{Chain, Offset, OutSeq};

#[derive(Default)]
struct Times {
    generator: Duration,
    model: Duration,
    compare: Duration,
    audit: Duration,
    decisions: u64,
}

fn main() -> std::io::Result<()> {
    let seeds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut times = Times::default();
    for seed in 0..seeds {
        one_seed(seed, &mut times);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{} decisions of {seeds} seeds", times.decisions)?;
    let all = times.generator + times.model + times.compare + times.audit;
    for (name, time) in [
        ("generator", times.generator),
        ("model", times.model),
        ("compare", times.compare),
        ("audit", times.audit),
        ("all four", all),
    ] {
        let per_second = u128::from(times.decisions) * 1_000_000 / time.as_micros().max(1);
        writeln!(out, "{name:>10} {per_second:>10} decisions/s")?;
    }
    Ok(())
}

/// First the records, then one part after the other over all of them, so that no part's clock ticks for another.
fn one_seed(seed: u64, times: &mut Times) {
    let mut generator = Generator::new(seed, Lengths::QUICK);
    let (mut model, mut records) = (Model::new(generator.settings()), Vec::new());
    let started = Instant::now();
    while let Some(record) = generator.next(&model) {
        let stopped = model.apply(records.len() as u64, record.append_time_ms, &record.payload).is_err();
        records.push(record);
        if stopped {
            break;
        }
    }
    let generator_and_model = started.elapsed();

    let mut model = Model::new(generator.settings());
    let started = Instant::now();
    let answers: Vec<_> = (0..)
        .zip(&records)
        .map(|(offset, it)| model.apply(offset, it.append_time_ms, &it.payload).ok().flatten())
        .collect();
    let model_alone = started.elapsed();
    times.model += model_alone;
    times.generator += generator_and_model.saturating_sub(model_alone);
    times.decisions += answers.iter().flatten().map(|it| it.decisions.len() as u64).sum::<u64>();

    let outputs: Vec<_> = (0..)
        .zip(&answers)
        .map(|(offset, answer)| {
            answer.as_ref().map(|answer| {
                let mut bytes = Vec::new();
                let envelope = Envelope { source_offset: Offset(offset), out_seq: OutSeq(1) };
                write_envelope(&mut bytes, envelope);
                write_body(answer, &mut bytes);
                write_chain(&mut bytes, Chain::default());
                bytes
            })
        })
        .collect();
    let started = Instant::now();
    for ((offset, answer), output) in (0..).zip(&answers).zip(&outputs) {
        assert_eq!(compare(offset, answer.as_ref(), output.as_deref()), Ok(()));
    }
    times.compare += started.elapsed();

    let mut auditor = Auditor::default();
    let started = Instant::now();
    for ((offset, answer), record) in (0..).zip(&answers).zip(&records) {
        assert_eq!(auditor.check(offset, &record.payload, answer.as_ref()), Ok(()));
    }
    times.audit += started.elapsed();
}
