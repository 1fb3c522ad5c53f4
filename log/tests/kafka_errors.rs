//! Answers that a real broker gives too rarely to wait for. The client library's simulated brokers give them on demand.
//! What a real broker does is claimed by the other tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use holdfast_contracts::{LogId, Offset, PartitionId};
use holdfast_log::{
    AppendError, AppendFailure, KafkaConfig, KafkaLog, KafkaLogOptions, KafkaOpenError, Layout, OrderedLog,
    Status, StreamId, Ticket, Topic,
};
use rdkafka::{
    bindings::rd_kafka_resp_err_t as Answer, mocking::MockCluster, producer::DefaultProducerContext,
    types::RDKafkaApiKey as Api,
};

const PATIENCE: Duration = Duration::from_secs(60);
const COMMANDS: StreamId = StreamId::inventory_commands(PartitionId(0));
const DECISIONS: StreamId = StreamId::inventory_decisions(PartitionId(0));

struct Mock {
    brokers: MockCluster<'static, DefaultProducerContext>,
    config: KafkaConfig,
    options: KafkaLogOptions,
}

impl Mock {
    fn start() -> Self {
        let brokers = MockCluster::new(1).unwrap();
        let config = KafkaConfig::new(brokers.bootstrap_servers(), "errors");
        for topic in Topic::ALL {
            brokers.create_topic(&config.topic_name(topic), 1, 1).unwrap();
        }
        let options = KafkaLogOptions::new(LogId([7; 16]), Layout::inventory(1).unwrap());
        Self { brokers, config, options }
    }

    fn open(&self) -> Result<KafkaLog, KafkaOpenError> {
        KafkaLog::open(&self.config, self.options)
    }
}

fn record(nr: u8) -> Bytes {
    Bytes::copy_from_slice(&[nr])
}

fn failure(ticket: &Ticket) -> AppendFailure {
    ticket.wait(PATIENCE).expect("the append was settled in time").unwrap_err()
}

/// Where an append came to lie.
fn offset(ticket: &Ticket) -> Offset {
    ticket.wait(PATIENCE).expect("the append was settled in time").unwrap().offset
}

#[test]
fn an_answer_that_breaks_a_producer_interrupts_its_streams_and_another_takes_over() {
    let mock = Mock::start();
    let log = mock.open().unwrap();
    // So that both records are under way when the answer comes.
    mock.brokers.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    mock.brokers.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    let lost: Vec<_> = (0..50).map(|nr| log.append(DECISIONS, record(nr)).unwrap()).collect();
    for ticket in &lost {
        failure(ticket);
    }
    assert_eq!(log.append(DECISIONS, record(50)).unwrap_err(), AppendError::Interrupted);
    let stats = log.stats();
    assert_eq!((stats.producer_rebuilds, stats.delivery_errors), (1, 50));
    assert_eq!((stats.unsettled_records, stats.unsettled_bytes), (0, 0));
    assert!(stats.last_error.is_some());
    // The other topic has a producer of its own.
    assert_eq!(log.status(), Status::Healthy);
    log.resume(DECISIONS);
    let next = log.append(DECISIONS, record(51)).unwrap();
    assert_eq!(offset(&next), Offset(0), "something slipped past the record that failed");
}

#[test]
fn answers_that_pass_are_waited_for() {
    let mock = Mock::start();
    let log = mock.open().unwrap();
    mock.brokers.request_errors(
        Api::Produce,
        &[
            Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Answer::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    let ticket = log.append(COMMANDS, record(1)).unwrap();
    assert_eq!(offset(&ticket), Offset(0));
    assert_eq!(log.stats().producer_rebuilds, 0);
    assert_eq!(log.refresh(COMMANDS).unwrap().end, Offset(1), "it was appended once");
}

#[test]
fn a_right_that_is_missing_is_told_and_nothing_is_appended() {
    let mock = Mock::start();
    let log = mock.open().unwrap();
    mock.brokers.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let refused = failure(&log.append(COMMANDS, record(1)).unwrap());
    let AppendFailure::NotAppended { reason } = &refused else { panic!("{refused}") };
    assert!(reason.contains("authorization"), "{reason}");
    assert_eq!(log.append(COMMANDS, record(2)).unwrap_err(), AppendError::Interrupted);
    assert_eq!(log.refresh(COMMANDS).unwrap().end, Offset(0));
}

#[test]
fn a_log_opens_although_leaders_are_just_being_elected() {
    let mock = Mock::start();
    mock.brokers.request_errors(
        Api::ListOffsets,
        &[
            Answer::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Answer::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
        ],
    );
    let log = mock.open().unwrap();
    assert_eq!(log.watermarks(COMMANDS).end, Offset(0));
    assert_eq!(log.status(), Status::Healthy);
}

#[test]
fn a_log_that_may_not_be_asked_is_not_opened() {
    let mock = Mock::start();
    // Each stream is asked for both of its ends.
    let denied = [Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 16];
    mock.brokers.request_errors(Api::ListOffsets, &denied);
    let error = mock.open().unwrap_err();
    assert!(
        matches!(&error, KafkaOpenError::Unreachable { reason, .. } if reason.contains("authorization")),
        "{error}"
    );
}
