//! Questions to the brokers that are no part of reading and writing, each with an end.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::config::Client;
use super::error::from_code;
use super::library::{self, PartitionReader, RawMessage, Refusal, TopicInfo};
use super::{KafkaConfig, KafkaError};
use crate::Topic;

/// How long a question may take, all in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// How long one attempt of it may take before somebody looks for the reason.
const ATTEMPT: Duration = Duration::from_millis(200);

/// How long one broker may take to answer a question before another is asked.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// What the client library has said about its connections.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Why this process is not let in, if it is not.
    refused: Mutex<Option<(Code, String)>>,
    last: Mutex<Option<(Code, String)>>,
}

impl Heard {
    fn note(&self, code: Code, reason: &str) {
        let of_identity = matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL);
        let place = if of_identity { &self.refused } else { &self.last };
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
    }

    pub(super) fn refused(&self) -> Option<(Code, String)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn last(&self) -> Option<(Code, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Heard {
    // What matters comes as an error too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: ClientError, reason: &str) {
        self.note(error.rdkafka_error_code().unwrap_or(Code::Fail), reason);
    }
}

impl ConsumerContext for Heard {}

/// A connection for questions.
pub(super) struct Admin<'a> {
    config: &'a KafkaConfig,
    client: BaseConsumer<Heard>,
    cluster_id: String,
    doing: String,
    deadline: Instant,
}

impl<'a> Admin<'a> {
    /// Reaches a broker, or says why none can be reached. Everything asked of it must be answered within `patience`.
    pub(super) fn connect(
        config: &'a KafkaConfig,
        doing: impl Into<String>,
        patience: Duration,
    ) -> Result<Self, KafkaError> {
        let doing = doing.into();
        let deadline = Instant::now() + patience;
        // A bounded read ends where the partition ends.
        let mut client = config.client(Client::Consumer);
        client.set("enable.partition.eof", "true");
        let client: BaseConsumer<Heard> = client
            .create_with_context(Heard::default())
            .map_err(|error| client_error(config, &doing, &error))?;
        let mut admin = Self { config, client, cluster_id: String::new(), doing, deadline };
        admin.cluster_id = loop {
            if let Some(id) = library::cluster_id(&admin.client, ATTEMPT.min(admin.left())) {
                break id;
            }
            admin.listen();
            if let Some((code, reason)) = admin.client.context().refused() {
                return Err(from_code(config, admin.doing, code, Some(&reason)));
            }
            if admin.left().is_zero() {
                let (_, reason) = admin
                    .client
                    .context()
                    .last()
                    .unwrap_or((Code::OperationTimedOut, "no answer".to_owned()));
                return Err(from_code(config, admin.doing, Code::OperationTimedOut, Some(&reason)));
            }
        };
        Ok(admin)
    }

    pub(super) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The topics of those names; what does not exist is left out.
    pub(super) fn topics(&self, names: &[String]) -> Result<BTreeMap<String, TopicInfo>, KafkaError> {
        let described = self.patiently(|timeout| {
            let described = library::describe_topics(&self.client, names, timeout);
            described.map_err(|refusal| self.refusal(&refusal))
        })?;
        let mut topics = BTreeMap::new();
        for topic in described {
            match topic {
                Ok(topic) => {
                    topics.insert(topic.name.clone(), topic);
                }
                Err((_, refusal)) if refusal.code == Code::UnknownTopicOrPartition => {}
                Err((name, refusal)) => {
                    let doing = format!("{}, topic {name}", self.doing);
                    return Err(from_code(self.config, doing, refusal.code, Some(&refusal.detail)));
                }
            }
        }
        Ok(topics)
    }

    /// The first offset of a partition and the one after its last record.
    pub(super) fn ends(&self, topic: &str, partition: u32) -> Result<(u64, u64), KafkaError> {
        let (low, end) = self
            .client
            .fetch_watermarks(topic, partition.cast_signed(), self.left())
            .map_err(|error| self.client_error(&error))?;
        Ok((u64::try_from(low).unwrap_or_default(), u64::try_from(end).unwrap_or_default()))
    }

    /// Records of a partition, oldest first, from `from` on or from the first there is, until `take` wants no more or the
    /// partition ends.
    pub(super) fn read(
        &self,
        topic: &str,
        partition: u32,
        from: Option<u64>,
        mut take: impl FnMut(RawMessage) -> Wanted,
    ) -> Result<(), KafkaError> {
        const FIRST: i64 = -2;
        let from = from.map_or(FIRST, |offset| i64::try_from(offset).unwrap_or(i64::MAX));
        let mut reader = PartitionReader::start(&self.client, topic, partition.cast_signed(), from)
            .map_err(|refusal| self.refusal(&refusal))?;
        loop {
            match reader.next(ATTEMPT.min(self.left())) {
                Ok(Some(message)) => {
                    if take(message) == Wanted::NoMore {
                        return Ok(());
                    }
                }
                Err(refusal) if refusal.code == Code::PartitionEOF => return Ok(()),
                Err(refusal) if refusal.code == Code::UnknownTopicOrPartition => {
                    return Err(KafkaError::NoTopic { topic: topic.to_owned() });
                }
                Err(refusal) => return Err(self.refusal(&refusal)),
                Ok(None) if self.left().is_zero() => {
                    let refusal = Refusal { code: Code::OperationTimedOut, detail: String::new() };
                    return Err(self.refusal(&refusal));
                }
                Ok(None) => self.listen(),
            }
        }
    }

    /// The settings of topics as they apply.
    pub(super) fn settings(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, KafkaError> {
        // The library refuses a question about nothing.
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let answers = self.patiently(|timeout| {
            let client = self.admin_client()?;
            let answers = block_on(client.describe_configs(&resources, &options(timeout)));
            answers.map_err(|error| self.client_error(&error))
        })?;
        let mut settings = BTreeMap::new();
        // The answers come in the order of the questions.
        for (name, answer) in names.iter().zip(answers) {
            let answer = answer.map_err(|code| {
                from_code(self.config, format!("{}, settings of {name}", self.doing), code, None)
            })?;
            let entries = answer.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
            settings.insert(name.clone(), entries.collect());
        }
        Ok(settings)
    }

    /// Makes a topic. False if it is there.
    pub(super) fn create(&self, topic: &NewTopic<'_>) -> Result<bool, KafkaError> {
        let answers = self.patiently(|timeout| {
            let client = self.admin_client()?;
            let answers = block_on(client.create_topics([topic], &options(timeout)));
            answers.map_err(|error| self.client_error(&error))
        })?;
        match answers.into_iter().next() {
            None | Some(Ok(_)) => Ok(true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((name, code))) => {
                Err(from_code(self.config, format!("{}, topic {name}", self.doing), code, None))
            }
        }
    }

    /// The ids of a group's members; none if there is no such group.
    pub(super) fn members(&self, group: &str) -> Result<Vec<String>, KafkaError> {
        let found = self
            .client
            .fetch_group_list(Some(group), self.left())
            .map_err(|error| self.client_error(&error))?;
        let groups = found.groups().iter().filter(|it| it.name() == group);
        Ok(groups.flat_map(|it| it.members()).map(|it| it.id().to_owned()).collect())
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn admin_client(&self) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
        self.config.client(Client::Admin).create().map_err(|error| self.client_error(&error))
    }

    /// Asks until there is an answer or the time is up. The library asks the broker that it takes for the controller, and
    /// waits for that one although it may have died; a fresh look at the cluster names another.
    fn patiently<T>(&self, ask: impl Fn(Duration) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
        let topic = self.config.topic_name(Topic::InventoryCommands);
        loop {
            // The library does not take a time-out of nothing.
            match ask(ASK_AGAIN.min(self.left()).max(ATTEMPT)) {
                Err(KafkaError::Away { .. }) if !self.left().is_zero() => {
                    let _ = self.client.fetch_metadata(Some(&topic), ASK_AGAIN.min(self.left()));
                }
                answer => return answer,
            }
        }
    }

    /// Lets the library say what happened to its connections.
    fn listen(&self) {
        while self.client.poll(Duration::ZERO).is_some() {}
    }

    fn refusal(&self, refusal: &Refusal) -> KafkaError {
        self.listen();
        from_code(self.config, self.doing.clone(), refusal.code, Some(&refusal.detail))
    }

    fn client_error(&self, error: &ClientError) -> KafkaError {
        client_error(self.config, &self.doing, error)
    }
}

fn options(timeout: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

/// Whether a reader wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    NoMore,
}

/// What went wrong with a client, sorted.
pub(super) fn client_error(config: &KafkaConfig, doing: &str, error: &ClientError) -> KafkaError {
    let code = match error {
        // The crate does not count it among those that have a code.
        ClientError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    match code {
        Some(code) => from_code(config, doing, code, None),
        None => {
            // The library's own text for a refused setting would hold its value.
            let reason = match error {
                ClientError::ClientConfig(_, reason, key, _) => format!("`{key}`: {reason}"),
                ClientError::ClientCreation(reason) => reason.clone(),
                other => other.to_string(),
            };
            KafkaError::Refused { doing: doing.to_owned(), reason: config.mask(&reason), retryable: false }
        }
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the library, which has time-outs of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
