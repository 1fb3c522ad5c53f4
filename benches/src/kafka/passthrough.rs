//! The bare baseline: records go from one topic to another through the client library, and nothing is decided.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_benches::clock::{per_second, process_cpu, since, thread_times};
use holdfast_benches::pipeline::Result;
use holdfast_benches::work::splitmix64;
use rdkafka::Message;

use super::broker::{Broker, PATIENCE};
use super::producing::Counting;

/// Acknowledgements are served after so many records.
const SERVE_EVERY: u64 = 256;

/// Commands as they stand in the records of a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Commands in a record.
    pub(crate) per_record: u32,
    /// Bytes of a command.
    pub(crate) command_bytes: usize,
}

/// What a run took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// Commands that went through.
    pub(crate) commands: u64,
    /// From the first look for a record to the last acknowledgement.
    pub(crate) wall: Duration,
    /// Processor time of this process meanwhile.
    pub(crate) client_cpu: Duration,
    /// Processor time of the broker meanwhile.
    pub(crate) broker_cpu: Duration,
    /// Processor time of this process by name of thread.
    pub(crate) threads: BTreeMap<String, Duration>,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        per_second(self.commands, self.wall)
    }

    /// The same for the threads of this process that bear a name.
    pub(crate) fn thread_us(&self, name: &str) -> f64 {
        self.threads.get(name).map_or(0.0, |cpu| cpu.as_secs_f64() * 1e6 / self.commands.max(1) as f64)
    }

    /// Microseconds of processor time for a command, by client and broker together.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.client_us() + self.broker_us()
    }

    pub(crate) fn client_us(&self) -> f64 {
        self.client_cpu.as_secs_f64() * 1e6 / self.commands.max(1) as f64
    }

    pub(crate) fn broker_us(&self) -> f64 {
        self.broker_cpu.as_secs_f64() * 1e6 / self.commands.max(1) as f64
    }
}

/// Writes commands that look as such: an id and a customer that nobody can compress, and words that are always the same.
pub(crate) fn fill_shape(broker: &Broker, topic: &str, shape: Shape, commands: u64) -> Result<u64> {
    let (producer, mut record) = (Counting::quiet(broker)?, Vec::new());
    let mut number = 0;
    for sent in 1..=commands / u64::from(shape.per_record) {
        record.clear();
        for _ in 0..shape.per_record {
            write_command(&mut record, number, shape.command_bytes);
            number += 1;
        }
        producer.send(topic, None, &record)?;
        if sent % SERVE_EVERY == 0 {
            producer.serve();
        }
    }
    producer.drain()?;
    Ok(number)
}

fn write_command(record: &mut Vec<u8>, number: u64, bytes: usize) {
    const WORDS: &[u8] =
        b"SNEAKER-42 one unit at most two for a customer hold for ten minutes then give it back again";
    let end = record.len() + bytes;
    for salt in 0..3 {
        record.extend_from_slice(&splitmix64(number.wrapping_mul(3) + salt).to_le_bytes());
    }
    record.extend(WORDS.iter().cycle().take(bytes.saturating_sub(24)));
    record.truncate(end);
}

/// Carries so many records, together of so many commands, from the beginning of one topic to another:
/// `BaseConsumer::poll`, then `BaseProducer::send`, one record at a time.
pub(crate) fn carry(broker: &Broker, from: &str, to: &str, records: u64, commands: u64) -> Result<Run> {
    let producer = Counting::quiet(broker)?;
    producer.warm_up(to)?;
    let (broker_cpu, threads) = (broker.cpu()?, thread_times());
    let (start, cpu) = (Instant::now(), process_cpu());
    let consumer = broker.consumer(from, 0)?;
    let (mut carried, mut progress) = (0, start);
    while carried < records {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            if progress.elapsed() > PATIENCE {
                return Err("no records come".into());
            }
            producer.serve();
            continue;
        };
        let message = message?;
        producer.send(to, message.key(), message.payload().unwrap_or_default())?;
        carried += 1;
        if carried % SERVE_EVERY == 0 {
            producer.serve();
            progress = Instant::now();
        }
    }
    producer.drain()?;
    let (wall, client_cpu) = (start.elapsed(), process_cpu().saturating_sub(cpu));
    if producer.delivered() != records + 1 {
        return Err(format!("{} of {records} records were acknowledged", producer.delivered()).into());
    }
    let broker_cpu = broker.cpu()?.saturating_sub(broker_cpu);
    Ok(Run { commands, wall, client_cpu, broker_cpu, threads: since(&threads) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_its_size_and_differs_from_the_next() {
        for bytes in [64, 100, 300] {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            write_command(&mut one, 1, bytes);
            write_command(&mut two, 2, bytes);
            assert_eq!((one.len(), two.len()), (bytes, bytes));
            assert_ne!(one[..24], two[..24]);
            assert_eq!(one[24..], two[24..]);
        }
    }

    #[test]
    fn processor_time_is_told_per_command() {
        let second = Duration::from_secs(1);
        let run = Run {
            commands: 1_000_000,
            wall: second * 2,
            client_cpu: second * 3,
            broker_cpu: second,
            ..Run::default()
        };
        assert_eq!((run.per_second(), run.client_us(), run.broker_us()), (500_000.0, 3.0, 1.0));
        assert_eq!(run.cpu_us(), 4.0);
    }
}
