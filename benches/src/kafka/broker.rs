//! The broker that a bench measures against, its topics, and clients set as the adapter sets its own.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use holdfast_kafka_kit::{Brokers, Options};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};

use crate::processes::cpu_of;

/// Nothing that works takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The only partition: a hot SKU has one.
pub(crate) const ONLY: i32 = 0;

/// Which broker leads every partition, as long as it lives.
pub(crate) const LEADER: u32 = 1;

/// As the adapter reads.
const CONSUMER: &[(&str, &str)] = &[
    ("group.id", "holdfast-bench"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.error.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("fetch.message.max.bytes", "4194304"),
    ("queued.min.messages", "50000"),
    ("queued.max.messages.kbytes", "65536"),
];

/// As the adapter writes.
const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("linger.ms", "0"),
    ("retry.backoff.max.ms", "250"),
    ("reconnect.backoff.max.ms", "1000"),
    ("compression.type", "lz4"),
    ("message.max.bytes", "9000000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "262144"),
];

/// Brokers, warmed, and what looks after their topics.
pub(crate) struct Broker {
    brokers: Brokers,
    admin: AdminClient<DefaultClientContext>,
}

impl Broker {
    /// One broker with nothing in it, its code compiled. It ends with this.
    pub(crate) fn start() -> Result<Self> {
        Self::start_many(1)
    }

    /// So many brokers.
    pub(crate) fn start_many(brokers: u32) -> Result<Self> {
        let brokers = Brokers::start(Options { brokers, secure: false, warm: true });
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers.bootstrap());
        let admin = AdminClient::from_config(&config)?;
        Ok(Self { brokers, admin })
    }

    /// Where it is reached.
    pub(crate) fn bootstrap(&self) -> &str {
        self.brokers.bootstrap()
    }

    /// The brokers themselves.
    pub(crate) const fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// Makes a topic of one partition whose records carry the time at which the broker took them.
    pub(crate) fn create(&self, topic: &str) -> Result<()> {
        // The first of the copies leads.
        let copies: Vec<i32> = (1..).take(self.brokers.begun().brokers.len()).collect();
        let safe = if copies.len() > 1 { "2" } else { "1" };
        let assigned = [copies.as_slice()];
        let topic = NewTopic::new(topic, 1, TopicReplication::Variable(&assigned))
            .set("message.timestamp.type", "LogAppendTime")
            .set("retention.ms", "-1")
            .set("max.message.bytes", "9000000")
            .set("min.insync.replicas", safe);
        for result in wait(self.admin.create_topics([&topic], &AdminOptions::new()))?? {
            result.map_err(|(topic, code)| format!("{topic} cannot be made: {code}"))?;
        }
        Ok(())
    }

    /// Waits until a broker leads a partition that prefers it: it has come back and is in step again.
    pub(crate) fn wait_until_led_by(&self, broker: u32) -> Result<()> {
        const PROBE: &str = "bench.probe";
        self.create(PROBE)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metadata = self.admin.inner().fetch_metadata(Some(PROBE), PATIENCE)?;
            let partitions = metadata.topics().first().map(|topic| topic.partitions()).unwrap_or_default();
            let leads = |leader: i32| u32::try_from(leader) == Ok(broker);
            if partitions
                .first()
                .is_some_and(|it| leads(it.leader()) && it.isr().len() == it.replicas().len())
            {
                return self.delete(&[PROBE]);
            }
            if Instant::now() > deadline {
                return Err(format!("broker {broker} does not lead").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Removes topics, so that a row leaves nothing on the disk.
    pub(crate) fn delete(&self, topics: &[&str]) -> Result<()> {
        for result in wait(self.admin.delete_topics(topics, &AdminOptions::new()))?? {
            result.map_err(|(topic, code)| format!("{topic} cannot be removed: {code}"))?;
        }
        Ok(())
    }

    /// Removes every topic whose name begins so.
    pub(crate) fn delete_all(&self, prefix: &str) -> Result<()> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE)?;
        let names: Vec<&str> =
            metadata.topics().iter().map(|it| it.name()).filter(|it| it.starts_with(prefix)).collect();
        if names.is_empty() { Ok(()) } else { self.delete(&names) }
    }

    /// The offset after the last record of a topic.
    pub(crate) fn end(&self, topic: &str) -> Result<i64> {
        let (_, end) = self.admin.inner().fetch_watermarks(topic, ONLY, PATIENCE)?;
        Ok(end)
    }

    /// Somebody who reads a topic from an offset on.
    pub(crate) fn consumer(&self, topic: &str, from: i64) -> Result<BaseConsumer> {
        let consumer: BaseConsumer = self.config(CONSUMER).create()?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(topic, ONLY, Offset::Offset(from))?;
        consumer.assign(&partitions)?;
        Ok(consumer)
    }

    /// Somebody who reads a topic from an offset on, as it grows.
    pub(crate) fn follower(&self, topic: &str, from: i64) -> Result<Follower> {
        Ok(Follower { consumer: self.consumer(topic, from)? })
    }

    /// Settings of somebody who writes.
    pub(crate) fn producer_config(&self) -> ClientConfig {
        self.config(PRODUCER)
    }

    fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config
    }

    /// Processor time that the brokers have used, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let status = self.brokers.begun();
        status.brokers.iter().map(|broker| cpu_of(broker.pid)).sum()
    }
}

/// A record as it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// When the broker took it, in ms since 1970.
    pub(crate) append_ms: i64,
    pub(crate) payload: &'a [u8],
}

/// Somebody who reads a topic as it grows.
pub(crate) struct Follower {
    consumer: BaseConsumer,
}

impl Follower {
    /// Hands over the next record, if one comes within 100 ms.
    pub(crate) fn poll(&mut self, take: impl FnOnce(Seen<'_>) -> Result<()>) -> Result<()> {
        self.poll_for(Duration::from_millis(100), take)
    }

    /// Hands over the next record, if one comes within that time, in whole milliseconds.
    pub(crate) fn poll_for(
        &mut self,
        time: Duration,
        take: impl FnOnce(Seen<'_>) -> Result<()>,
    ) -> Result<()> {
        let message = match self.consumer.poll(time) {
            None => return Ok(()),
            Some(Ok(message)) => message,
            // The client goes on by itself once there is a leader again.
            Some(Err(error)) if is_passing(&error) => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
        };
        let append_ms = message.timestamp().to_millis().ok_or("a record without a time")?;
        take(Seen { append_ms, payload: message.payload().unwrap_or_default() })
    }
}

/// Whether an error says that a broker is away, which the client gets over.
fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown))
}

/// A waker that unparks the calling thread.
pub(crate) fn unparking() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the answer to a request to the brokers.
fn wait<T>(request: impl Future<Output = T>) -> Result<T> {
    let mut request = pin!(request);
    let waker = unparking();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Poll::Ready(answer) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(answer);
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    Err("the brokers do not answer".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broker_that_is_away_is_waited_for() {
        let error = KafkaError::MessageConsumption;
        assert!(is_passing(&error(RDKafkaErrorCode::BrokerTransportFailure)));
        assert!(is_passing(&error(RDKafkaErrorCode::AllBrokersDown)));
        assert!(!is_passing(&error(RDKafkaErrorCode::OffsetOutOfRange)));
        assert!(!is_passing(&error(RDKafkaErrorCode::AutoOffsetReset)));
    }
}
