//! A real broker with topics for one test.
#![allow(dead_code, reason = "each test file uses its share")]

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use holdfast_contracts::LogId;
use holdfast_kafka_kit::Brokers;
use holdfast_log::{KafkaConfig, KafkaLog, KafkaLogOptions, KafkaOpenError, Layout, Topic, doorbell};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

/// Longer than anything takes. A test that gets here has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for a future on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (bell, mut listener) = doorbell();
    let (waker, mut future) = (bell.waker(), pin!(future));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        assert!(listener.wait_until(Instant::now() + PATIENCE), "the brokers do not answer");
    }
}

/// Topics of one log, on brokers that other tests use too.
pub(crate) struct Topics {
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) config: KafkaConfig,
    pub(crate) options: KafkaLogOptions,
}

impl Topics {
    pub(crate) fn new(brokers: Arc<Brokers>, partitions: u32) -> Self {
        Self::with(brokers, partitions, &[])
    }

    /// With other settings than a log has.
    pub(crate) fn with(brokers: Arc<Brokers>, partitions: u32, settings: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let nr = COUNT.fetch_add(1, Ordering::Relaxed);
        let config = KafkaConfig {
            topic_prefix: format!("t{}-{nr}.", std::process::id()),
            ..KafkaConfig::new(brokers.bootstrap(), format!("test-{nr}"))
        };
        create(&config, partitions, settings);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&nr.to_le_bytes());
        let options = KafkaLogOptions::new(LogId(id), Layout::inventory(partitions).unwrap());
        Self { brokers, config, options }
    }

    pub(crate) fn open(&self) -> KafkaLog {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<KafkaLog, KafkaOpenError> {
        KafkaLog::open(&self.config, self.options)
    }
}

/// Makes the topics, and waits until the brokers know them.
fn create(config: &KafkaConfig, partitions: u32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().unwrap();
    let names = Topic::ALL.map(|topic| config.topic_name(topic));
    let topics: Vec<_> = names
        .iter()
        .map(|name| {
            let topic = NewTopic::new(name, i32::try_from(partitions).unwrap(), TopicReplication::Fixed(1))
                .set("message.timestamp.type", "LogAppendTime")
                .set("max.message.bytes", "9000000");
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    for result in block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
        result.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    for name in &names {
        loop {
            let metadata = admin.inner().fetch_metadata(Some(name), PATIENCE).unwrap();
            let partitions_there = metadata.topics()[0].partitions();
            if partitions_there.len() == partitions as usize
                && partitions_there.iter().all(|it| it.leader() >= 0)
            {
                break;
            }
            assert!(Instant::now() < deadline, "the brokers do not learn of {name}");
        }
    }
}
