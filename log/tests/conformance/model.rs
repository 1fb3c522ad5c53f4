//! Random histories against the simplest log there is: a vector per stream.

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_contracts::{Offset, PartitionId};
use holdfast_log::{OrderedLog, ReadError, StreamId, Topic};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    PARTITIONS, Subject,
    cases::{append, settle, try_read_count},
};

#[derive(Debug, Clone)]
enum Step {
    /// Appends so many records of so many bytes and waits for none of them.
    Append { stream: StreamId, count: usize, bytes: usize },
    /// Waits for the last append of the stream.
    Settle { stream: StreamId },
    /// Reads from a place in the stream, in thousandths of its length.
    Read { stream: StreamId, place: u64, bytes_max: usize },
    /// Trims to a place in the stream, in thousandths of its length.
    Trim { stream: StreamId, place: u64 },
    /// Closes and opens the log.
    Reopen,
}

fn stream() -> impl Strategy<Value = StreamId> {
    (prop::sample::select(&Topic::ALL[..]), 0..PARTITIONS)
        .prop_map(|(topic, partition)| StreamId { topic, partition: PartitionId(partition) })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (stream(), 1_usize..40, 0_usize..3_000)
            .prop_map(|(stream, count, bytes)| Step::Append { stream, count, bytes }),
        2 => (stream(), Just(1_usize), 100_000_usize..900_000)
            .prop_map(|(stream, count, bytes)| Step::Append { stream, count, bytes }),
        4 => stream().prop_map(|stream| Step::Settle { stream }),
        8 => (stream(), 0_u64..=1000, 0_usize..200_000)
            .prop_map(|(stream, place, bytes_max)| Step::Read { stream, place, bytes_max }),
        1 => (stream(), 0_u64..=1000).prop_map(|(stream, place)| Step::Trim { stream, place }),
        1 => Just(Step::Reopen),
    ]
}

/// What one stream should hold.
#[derive(Default)]
struct Model {
    payloads: Vec<Bytes>,
    trimmed: u64,
}

impl Model {
    fn end(&self) -> Offset {
        Offset(self.payloads.len() as u64)
    }

    fn place(&self, thousandths: u64) -> Offset {
        Offset(self.end().0 * thousandths / 1000)
    }
}

pub(crate) fn any_history_is_that_of_the_model(factory: impl Fn() -> Box<dyn Subject>) {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..80), |steps| {
            run(&mut *factory(), &steps);
            Ok(())
        })
        .unwrap();
}

fn run(subject: &mut dyn Subject, steps: &[Step]) {
    let mut models: HashMap<StreamId, Model> = HashMap::new();
    let mut tickets = HashMap::new();
    for step in steps {
        let log = subject.log();
        match *step {
            Step::Append { stream, count, bytes } => {
                let model = models.entry(stream).or_default();
                for _ in 0..count {
                    let fill = u8::try_from(model.payloads.len() % 251).unwrap();
                    let payload = Bytes::from(vec![fill; bytes]);
                    tickets.insert(stream, (model.end(), append(&*log, stream, payload.clone())));
                    model.payloads.push(payload);
                }
            }
            Step::Settle { stream } => {
                if let Some((offset, ticket)) = tickets.remove(&stream) {
                    assert_eq!(settle(&ticket).offset, offset);
                    assert!(log.watermarks(stream).durable > offset);
                }
            }
            Step::Read { stream, place, bytes_max } => {
                let model = models.entry(stream).or_default();
                check_read(&*log, stream, model, model.place(place), bytes_max);
            }
            Step::Trim { stream, place } => {
                let model = models.entry(stream).or_default();
                let below = model.place(place).min(log.watermarks(stream).durable);
                log.trim(stream, below).unwrap();
                model.trimmed = model.trimmed.max(below.0);
            }
            Step::Reopen => {
                drop(log);
                tickets.clear();
                subject.reopen();
            }
        }
    }
    let log = subject.log();
    for (&stream, model) in &models {
        let mut from = log.watermarks(stream).low;
        assert!(from.0 <= model.trimmed);
        while from < model.end() {
            let count = usize::try_from(model.end().0 - from.0).unwrap();
            let records = match try_read_count(&*log, stream, from, count) {
                Ok(records) => records,
                // What may be trimmed may be trimmed at any time.
                Err(ReadError::Trimmed { low }) => {
                    assert!(from < low && low.0 <= model.trimmed);
                    from = low;
                    continue;
                }
                Err(error) => panic!("{error:?}"),
            };
            for record in records {
                assert_eq!(record.payload, model.payloads[usize::try_from(record.offset.0).unwrap()]);
                from = record.offset.next();
            }
        }
    }
}

fn check_read(log: &dyn OrderedLog, stream: StreamId, model: &Model, from: Offset, bytes_max: usize) {
    let before = log.watermarks(stream);
    let mut out = Vec::new();
    match log.read(stream, from, bytes_max, &mut out) {
        Ok(()) => {
            let mut bytes = 0;
            for (offset, record) in (from.0..).zip(&out) {
                assert_eq!(record.offset, Offset(offset));
                assert_eq!(record.payload, model.payloads[usize::try_from(offset).unwrap()]);
                bytes += record.payload.len();
            }
            assert!(bytes <= bytes_max || out.len() == 1, "{} records of {bytes} bytes", out.len());
        }
        Err(ReadError::Trimmed { low }) => assert!(from < low && low.0 <= model.trimmed),
        Err(ReadError::BeyondEnd { end }) => assert!(end < from && before.end <= end),
        Err(error) => panic!("{error:?}"),
    }
}
