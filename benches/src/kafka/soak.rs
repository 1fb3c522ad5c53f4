//! The same load for minutes: whether the processes take more and more memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::{IntakeId, RequestTag};

use super::broker::Broker;
use super::producing::Counting;
use super::roles::{Cluster, Roles, owns};
use crate::group::Setup;
use crate::row::{Goal, Measured, Row};
use crate::server::{BODY, Client, Server, head};
use crate::spine::http::{BUYERS, UNITS};

pub(crate) const ROWS: &[&str] = &["kafka_soak_sequencer", "kafka_soak_intake", "kafka_soak_rate"];

/// Requests per second.
const RATE: u64 = 20_000;
const CONNECTIONS: u32 = 256;
/// Ids are forgotten and holds end so soon that as many go as come before the first minute is over.
const DEDUPE_WINDOW_MS: u64 = 20_000;
const HOLD_TTL_MS: u64 = 10_000;
/// Memory is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Samples whose median counts: what is there, and not what a checkpoint takes for a moment when it is shipped and read back.
const WINDOW: usize = 10;
/// What memory may differ by, in percent.
const FLAT_PERCENT: f64 = 5.0;

/// Memory of the two at one moment, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sample {
    sequencer: u64,
    intake: u64,
}

/// The medians of one window after the other.
fn medians(samples: &[u64]) -> Vec<u64> {
    let windows = samples.chunks(WINDOW).map(|window| {
        let mut window = window.to_vec();
        window.sort_unstable();
        window[window.len() / 2]
    });
    windows.collect()
}

/// How far some values lie from the first of them at most, in percent.
fn drift_percent(values: &[u64]) -> f64 {
    let Some(first) = values.first().map(|first| *first as f64) else { return f64::INFINITY };
    let off = values.iter().map(|value| (*value as f64 - first).abs());
    off.fold(0.0, f64::max) / first.max(1.0) * 100.0
}

/// Writes the rule that says how long ids are remembered.
fn forget_soon(broker: &Broker, commands: &str) -> Result<()> {
    let mut rules = BatchBuilder::default();
    rules.start(IntakeId(0), RequestTag(0));
    rules.push(&Command::ActivateRules {
        version: 2,
        dedupe_window_ms: DEDUPE_WINDOW_MS,
        work_per_record_max: 0,
    });
    let producer = Counting::quiet(broker)?;
    producer.send(commands, None, rules.bytes())?;
    producer.drain()
}

/// Asks on one connection whenever a request is due, until told to stop. An answer that is late delays the next request
/// of this connection, and what was missed is asked at once.
fn ask(
    server: &Server,
    token: &str,
    number: u32,
    every: Duration,
    stop: &AtomicBool,
    answered: &AtomicU64,
) -> Result<()> {
    let mut client = Client::connect(server.address())?;
    let mut due = Instant::now() + every * number / CONNECTIONS;
    for nr in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let head = head("POST", "/v1/reservations", token, &format!("soak-{number}-{nr}"), BODY.len());
        let answer = client.ask(&format!("{head}{BODY}"))?;
        if answer.status != 201 {
            return Err(format!("a request was answered {}: {}", answer.status, answer.body).into());
        }
        answered.fetch_add(1, Ordering::Relaxed);
        due += every;
    }
    Ok(())
}

/// Loads the intake, and looks at the memory of both meanwhile. Returns the samples and the answers.
fn load(sequencer: &Server, intake: &Server, time: Duration) -> Result<(Vec<Sample>, u64)> {
    let tokens =
        (0..BUYERS).map(|nr| intake.token(&format!("buyer-{nr}"), None)).collect::<Result<Vec<_>>>()?;
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let every = Duration::from_secs(1) * CONNECTIONS / u32::try_from(RATE)?;
    std::thread::scope(|scope| {
        let (stop, answered) = (&stop, &answered);
        let buyers: Vec<_> = (0..CONNECTIONS)
            .zip(tokens.iter().cycle())
            .map(|(number, token)| scope.spawn(move || ask(intake, token, number, every, stop, answered)))
            .collect();
        let (begun, mut samples) = (Instant::now(), Vec::new());
        while begun.elapsed() < time && !buyers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(LOOK_EVERY);
            samples.push(Sample { sequencer: sequencer.memory()?, intake: intake.memory()? });
        }
        stop.store(true, Ordering::Relaxed);
        for buyer in buyers {
            buyer.join().map_err(|_| "a buyer panicked")??;
        }
        Ok((samples, answered.load(Ordering::Relaxed)))
    })
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let broker = Broker::start()?;
    let seconds = setup.size(300, 10);
    let cluster = Cluster::make(&broker, &setup.directory, "soak", Roles::default())?;
    let sequencer = cluster.sequencer("sequencer")?;
    sequencer.wait_until("the sequencer to decide", owns)?;
    let intake = cluster.intake("intake")?;
    forget_soon(&broker, &cluster.commands())?;
    intake.open_sale_with(UNITS, HOLD_TTL_MS)?;
    let (samples, answered) = load(&sequencer, &intake, Duration::from_secs(seconds))?;
    let warm = samples.len() * usize::try_from(setup.size(60, 2))? / usize::try_from(seconds)?;
    let samples = samples.get(warm..).unwrap_or_default();
    let row = |name, of: fn(&Sample) -> u64| {
        let samples: Vec<u64> = samples.iter().map(of).collect();
        let bytes = medians(&samples);
        let mib = |bytes: Option<&u64>| bytes.map_or(0.0, |bytes| *bytes as f64 / f64::from(1 << 20));
        Measured::new(name, drift_percent(&bytes), "% away from what it was after the first minute")
            .with("mib_after_the_first_minute", mib(bytes.first()))
            .with("mib_at_the_end", mib(bytes.last()))
            .with("mib_for_a_moment", mib(samples.iter().max()))
            .with("seconds", seconds)
            .with("ids_are_remembered_for_ms", DEDUPE_WINDOW_MS)
            .with("holds_last_ms", HOLD_TTL_MS)
            .goals(&[Goal::AtMost(FLAT_PERCENT)])
    };
    let rate = Measured::new(ROWS[2], answered as f64 / seconds as f64, "answers of 201 per second")
        .with("asked_for", RATE)
        .goals(&[Goal::AtLeast(RATE as f64 * 0.99)]);
    Ok(vec![row(ROWS[0], |it| it.sequencer), row(ROWS[1], |it| it.intake), rate])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_no_trend() {
        let mut samples = vec![100; 30];
        samples[12] = 180;
        samples[25..].fill(200);
        assert_eq!(medians(&samples), [100, 100, 200]);
        assert_eq!(medians(&[7, 9]), [9]);
        assert!(medians(&[]).is_empty());
    }

    #[test]
    fn drift_is_the_largest_distance_from_the_first_value() {
        assert!((drift_percent(&[100, 103, 98, 101]) - 3.0).abs() < 1e-9);
        assert!((drift_percent(&[100, 103, 90]) - 10.0).abs() < 1e-9);
        assert_eq!(drift_percent(&[7]), 0.0);
        assert!(drift_percent(&[]).is_infinite(), "nothing seen is not flat");
    }
}
