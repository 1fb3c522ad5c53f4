//! What every adapter of the ordered log must do. One suite; an adapter joins by saying how it is opened.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod model;

use std::sync::Arc;

use common::Topics;
use holdfast_contracts::LogId;
use holdfast_kafka_kit::Brokers;
use holdfast_log::{
    EmbeddedConfig, EmbeddedLog, KafkaLog, Layout, OrderedLog, SimulatedConfig, SimulatedLog,
    simulated::{Profile, Survivors},
};

/// Partitions of every log under test.
const PARTITIONS: u32 = 3;

/// A log under test.
trait Subject {
    /// The log as it is open now.
    fn log(&self) -> Arc<dyn OrderedLog>;

    /// Closes the log and opens it again.
    fn reopen(&mut self);
}

fn layout() -> Layout {
    Layout::inventory(PARTITIONS).unwrap()
}

struct Simulated(Arc<SimulatedLog>);

impl Simulated {
    fn new(profile: Profile) -> Self {
        let config = SimulatedConfig::new(LogId([7; 16]), layout());
        Self(Arc::new(SimulatedLog::new(SimulatedConfig { profile, ..config })))
    }
}

impl Subject for Simulated {
    fn log(&self) -> Arc<dyn OrderedLog> {
        self.0.clone()
    }

    fn reopen(&mut self) {
        self.0.close();
        self.0.crash(Survivors::FirstLanded(usize::MAX));
    }
}

struct Embedded {
    log: Option<Arc<EmbeddedLog>>,
    directory: tempfile::TempDir,
}

impl Embedded {
    fn new() -> Self {
        let mut new = Self { log: None, directory: tempfile::tempdir().unwrap() };
        new.open();
        new
    }

    fn open(&mut self) {
        let config = EmbeddedConfig {
            // The smallest there is, so that the suite goes through many segments; and a short memory.
            segment_bytes: 12 << 20,
            keep_bytes: 0,
            tail_bytes_max: 256 << 10,
            unsettled_bytes_max: 24 << 20,
            ..EmbeddedConfig::new(layout())
        };
        self.log = Some(Arc::new(EmbeddedLog::open(self.directory.path(), &config).unwrap()));
    }
}

impl Subject for Embedded {
    fn log(&self) -> Arc<dyn OrderedLog> {
        self.log.clone().unwrap()
    }

    fn reopen(&mut self) {
        self.log.take().unwrap().close();
        self.open();
    }
}

struct Kafka {
    log: Option<Arc<KafkaLog>>,
    topics: Topics,
}

thread_local! {
    /// Keeps the brokers between the logs of a test that has many.
    static BROKERS: Arc<Brokers> = Brokers::shared();
}

impl Kafka {
    fn new() -> Self {
        let mut topics = Topics::new(BROKERS.with(Arc::clone), PARTITIONS);
        // A short memory, so that the suite also reads what has left it.
        topics.options.tail_bytes_max = 256 << 10;
        topics.options.unsettled_bytes_max = 24 << 20;
        Self { log: Some(Arc::new(topics.open())), topics }
    }
}

impl Subject for Kafka {
    fn log(&self) -> Arc<dyn OrderedLog> {
        self.log.clone().unwrap()
    }

    fn reopen(&mut self) {
        self.log.take().unwrap().close();
        self.log = Some(Arc::new(self.topics.open()));
    }
}

/// One test per case, for one adapter.
macro_rules! suite {
    ($name:ident, $subject:expr, [$($case:ident),+ $(,)?]) => {
        mod $name {
            use super::*;
            $(
                #[test]
                fn $case() {
                    cases::$case(&mut $subject);
                }
            )+

            #[test]
            fn any_history_is_that_of_the_model() {
                model::any_history_is_that_of_the_model(|| Box::new($subject));
            }
        }
    };
}

macro_rules! suites {
    ($($name:ident => $subject:expr),+ $(,)?) => {
        $(suite!($name, $subject, [
            a_new_log_is_empty,
            a_stream_that_does_not_exist_is_refused,
            records_come_back_in_order_with_what_their_tickets_said,
            a_command_is_not_readable_before_it_is_durable,
            a_settled_ticket_means_durable_and_stays_settled,
            a_read_takes_what_fits_and_at_least_one,
            reading_beyond_the_end_is_refused,
            payloads_have_a_largest_size_and_may_be_empty,
            appends_of_many_threads_are_all_there_in_the_order_of_each,
            a_sleeping_reader_is_woken_for_every_record,
            a_waker_may_watch_many_streams,
            an_ended_subscription_lets_go_of_its_waker,
            only_what_is_durable_can_be_trimmed,
            trimmed_records_are_gone_or_still_right,
            a_closed_log_has_settled_everything_and_takes_nothing,
            closing_wakes_subscribers,
            a_reopened_log_is_the_same_log,
            old_records_are_read_as_well_as_new_ones,
        ]);)+
    };
}

suites! {
    simulated_embedded => Simulated::new(Profile::Embedded),
    simulated_kafka => Simulated::new(Profile::Kafka),
    embedded => Embedded::new(),
    kafka => Kafka::new(),
}
