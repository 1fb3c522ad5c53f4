//! Two bare hops: produce, consume, produce, consume. What the client library and the broker take for the way that a
//! command and its decision go, without anybody who decides.

use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use rdkafka::Message;

use super::broker::{Broker, PATIENCE};
use super::producing::Counting;
use super::schedule::{Latencies, Schedule};

/// Bytes of a command.
pub(crate) const COMMAND_BYTES: usize = 64;
/// Commands in a record, at most.
const PER_RECORD_MAX: u64 = 1_000;
/// Records sent and not acknowledged, at most; as the intake has it.
pub(crate) const UNDER_WAY_MAX: u64 = 4;

/// A load, and which part of it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Commands per second.
    pub(crate) rate: u64,
    /// Not counted.
    pub(crate) warm: Duration,
    /// Counted.
    pub(crate) counted: Duration,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Hops {
    pub(crate) latencies: Latencies,
    pub(crate) commands_per_record: f64,
}

/// Sends what is due, as much as is due at once, with few records under way. `send` gets the first command and how many.
/// Returns the number of records.
pub(crate) fn send_when_due(
    schedule: Schedule,
    commands: u64,
    mut send: impl FnMut(u64, u64) -> Result<()>,
    mut under_way: impl FnMut() -> Result<u64>,
) -> Result<u64> {
    let (mut sent, mut records) = (0, 0);
    while sent < commands {
        let now = Instant::now();
        let due = schedule.due_by(now).min(commands);
        let room = under_way()? < UNDER_WAY_MAX;
        if due > sent && room {
            let count = (due - sent).min(PER_RECORD_MAX);
            send(sent, count)?;
            sent += count;
            records += 1;
        } else if now > schedule.due(sent) + PATIENCE {
            return Err("the records under way are not acknowledged".into());
        } else {
            let until = schedule.due(sent).saturating_duration_since(now);
            // An acknowledgement wakes the thread.
            std::thread::park_timeout(if room { until } else { Duration::from_millis(20) });
        }
    }
    Ok(records)
}

/// A run between two topics, which are empty or were used for such runs only.
pub(crate) fn run(broker: &Broker, first: &str, second: &str, load: Load) -> Result<Hops> {
    // Both producers are known to the broker before the clock starts.
    let producer = Counting::waking(broker)?;
    producer.warm_up(first)?;
    let relaying = Counting::quiet(broker)?;
    relaying.warm_up(second)?;
    let (from, to) = (broker.end(first)?, broker.end(second)?);
    let relay = broker.consumer(first, from)?;
    let reader = broker.consumer(second, to)?;
    // Both fetch by now, so the first command does not wait for a connection.
    let start = Instant::now() + Duration::from_millis(300);
    let schedule = Schedule { rate: load.rate, start };
    let (warm, commands) = (schedule.commands_in(load.warm), schedule.commands_in(load.warm + load.counted));
    std::thread::scope(|scope| {
        let relayed = scope.spawn(|| -> Result<()> {
            let mut left = commands;
            let mut quiet_since = Instant::now();
            while left > 0 {
                let Some(message) = relay.poll(Duration::from_millis(100)) else {
                    if quiet_since.elapsed() > PATIENCE {
                        return Err("nothing to relay".into());
                    }
                    continue;
                };
                let message = message?;
                let payload = message.payload().unwrap_or_default();
                relaying.send(second, None, payload)?;
                relaying.serve();
                left -= commands_of(payload).min(left);
                quiet_since = Instant::now();
            }
            relaying.drain()
        });
        let read = scope.spawn(|| -> Result<Latencies> {
            let (mut latencies, mut next) = (Latencies::new()?, 0);
            let mut quiet_since = Instant::now();
            while next < commands {
                let Some(message) = reader.poll(Duration::from_millis(100)) else {
                    if quiet_since.elapsed() > PATIENCE {
                        return Err("nothing to read".into());
                    }
                    continue;
                };
                let (message, now) = (message?, Instant::now());
                quiet_since = now;
                for command in message.payload().unwrap_or_default().chunks_exact(COMMAND_BYTES) {
                    let number = command.first_chunk().map_or(u64::MAX, |number| u64::from_le_bytes(*number));
                    if number != next {
                        return Err(format!("command {number} arrived in place of {next}").into());
                    }
                    if next >= warm {
                        latencies.record(now.saturating_duration_since(schedule.due(next)));
                    }
                    next += 1;
                }
            }
            Ok(latencies)
        });
        let records = send_all(&producer, first, schedule, commands);
        relayed.join().map_err(|_| "the relay panicked")??;
        let latencies = read.join().map_err(|_| "the reader panicked")??;
        Ok(Hops { latencies, commands_per_record: commands as f64 / records? as f64 })
    })
}

fn send_all(producer: &Counting, topic: &str, schedule: Schedule, commands: u64) -> Result<u64> {
    let _serving = producer.serving()?;
    let before = producer.delivered();
    let (mut payload, mut records) = (Vec::new(), 0);
    let sent = std::cell::Cell::new(0);
    records += send_when_due(
        schedule,
        commands,
        |first, count| {
            payload.clear();
            for number in first..first + count {
                payload.extend_from_slice(&number.to_le_bytes());
                payload.resize(payload.len() + COMMAND_BYTES - 8, b'.');
            }
            sent.set(sent.get() + 1);
            producer.send(topic, None, &payload)
        },
        || {
            if producer.failed() > 0 {
                Err("a record failed".into())
            } else {
                Ok(sent.get() - (producer.delivered() - before))
            }
        },
    )?;
    Ok(records)
}

const fn commands_of(payload: &[u8]) -> u64 {
    (payload.len() / COMMAND_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_due_is_sent_once_in_order_and_never_before_its_time() {
        let schedule = Schedule { rate: 100_000, start: Instant::now() };
        let (mut next, mut early) = (0, 0);
        let records = send_when_due(
            schedule,
            5_000,
            |first, count| {
                assert_eq!(first, next);
                early += u64::from(Instant::now() < schedule.due(first + count - 1));
                next += count;
                Ok(())
            },
            || Ok(0),
        );
        assert_eq!((next, early), (5_000, 0));
        assert!((1..=5_000).contains(&records.expect("all were sent")));
    }

    #[test]
    fn what_queues_while_too_much_is_under_way_goes_out_together() {
        let schedule = Schedule { rate: 1_000_000, start: Instant::now() };
        let (mut looks, mut counts) = (0, Vec::new());
        let sent = send_when_due(
            schedule,
            3_000,
            |_, count| {
                counts.push(count);
                Ok(())
            },
            || {
                looks += 1;
                // The first answer comes late.
                Ok(if (2..4).contains(&looks) { UNDER_WAY_MAX } else { 0 })
            },
        );
        assert!(sent.is_ok());
        assert_eq!(counts.iter().sum::<u64>(), 3_000);
        assert!(counts.iter().all(|count| *count <= PER_RECORD_MAX));
        assert!(counts.iter().any(|count| *count > 1), "{counts:?}");
    }

    #[test]
    fn records_that_stay_under_way_are_an_error_and_not_a_hang() {
        let Some(start) = Instant::now().checked_sub(PATIENCE * 2) else { return };
        let schedule = Schedule { rate: 1, start };
        assert!(send_when_due(schedule, 1, |_, _| Ok(()), || Ok(UNDER_WAY_MAX)).is_err());
    }
}
