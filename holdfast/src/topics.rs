//! `holdfast topics`: makes, checks and describes the topics of a log on Kafka.

use holdfast_log::Topic;
use holdfast_log::kafka::topics::{self, Created, Description, Finding, Severity, TopicsSpec};
use holdfast_log::kafka::{KafkaConfig, KafkaError, lookup};
use serde::Serialize;

use crate::cli::Topics;
use crate::config::Loaded;
use crate::failure::{Exit, Failure};
use crate::output::{Answer, Output, Table};
use crate::roles::{asking, kafka_refused, settings_refused};

/// Does what was asked.
///
/// # Errors
/// If the brokers cannot be asked, or the topics are not as they must be.
pub(crate) fn run(command: &Topics, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let config = &loaded.config;
    let kafka = config.kafka.resolve().map_err(|error| settings_refused(&error))?;
    asking(&kafka, output, || match command {
        Topics::Create { partitions } => create(&kafka, &spec(loaded, *partitions, &kafka)?, output),
        Topics::Check { partitions } => check(&kafka, &spec(loaded, *partitions, &kafka)?, output),
        Topics::Describe => {
            let description = topics::describe(&kafka).map_err(|error| kafka_refused(&error))?;
            output.answer(&Described(description))
        }
    })
}

/// What is expected: the count that was asked for, or else the one that the topics have.
fn spec(loaded: &Loaded, asked: Option<u32>, kafka: &KafkaConfig) -> Result<TopicsSpec, Failure> {
    let partitions = match asked.or(loaded.partitions_asked) {
        Some(asked) => asked,
        None => match lookup(kafka) {
            Ok(found) => found.layout.partitions(Topic::InventoryCommands),
            // What is wrong with the topics is found out by whoever looks at all of them.
            Err(KafkaError::NoTopic { .. } | KafkaError::Layout(_) | KafkaError::Foreign { .. }) => {
                loaded.config.partitions.get()
            }
            Err(error) => return Err(kafka_refused(&error)),
        },
    };
    Ok(TopicsSpec::new(partitions, loaded.config.kafka.profile))
}

fn create(kafka: &KafkaConfig, spec: &TopicsSpec, output: Output) -> Result<(), Failure> {
    let created = topics::create(kafka, spec).map_err(|error| kafka_refused(&error))?;
    let refused = refusal(&created.findings);
    output.answer(&Made(created))?;
    refused
}

fn check(kafka: &KafkaConfig, spec: &TopicsSpec, output: Output) -> Result<(), Failure> {
    let findings = topics::check(kafka, spec).map_err(|error| kafka_refused(&error))?;
    let refused = refusal(&findings);
    output.answer(&Findings { findings })?;
    refused
}

fn refusal(findings: &[Finding]) -> Result<(), Failure> {
    let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
    if errors == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Findings, "TOPICS", format!("{errors} of the findings keep a role from running"))
        .advise("each finding says what to do about it"))
}

#[derive(Serialize)]
#[serde(transparent)]
struct Made(Created);

impl Answer for Made {
    fn main_table(&self) -> Table {
        let mut table = Table::titled("topics", &["topic", "what was done"]);
        self.0.created.iter().for_each(|it| table.row([it.clone(), "created".to_owned()]));
        self.0.existing.iter().for_each(|it| table.row([it.clone(), "left as it was".to_owned()]));
        table
    }

    fn lead_tables(&self) -> Vec<Table> {
        if self.0.findings.is_empty() { Vec::new() } else { vec![findings_table(&self.0.findings)] }
    }
}

#[derive(Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

impl Answer for Findings {
    fn main_table(&self) -> Table {
        findings_table(&self.findings)
    }
}

fn findings_table(findings: &[Finding]) -> Table {
    let mut table = Table::titled("findings", &["severity", "code", "topic", "what is wrong", "what to do"]);
    for it in findings {
        let severity = match it.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        table.row([
            severity.to_owned(),
            it.code.to_owned(),
            it.topic.clone(),
            it.sentence.clone(),
            it.advice.clone(),
        ]);
    }
    table
}

#[derive(Serialize)]
#[serde(transparent)]
struct Described(Description);

impl Answer for Described {
    fn main_table(&self) -> Table {
        let columns = ["topic", "partition", "leader", "replicas", "in sync", "low", "end"];
        let mut table = Table::titled("partitions", &columns);
        let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
        for topic in &self.0.topics {
            for it in &topic.partitions {
                table.row([
                    topic.name.clone(),
                    it.partition.to_string(),
                    known(it.leader.map(|it| it.to_string())),
                    brokers(&it.replicas),
                    brokers(&it.in_sync),
                    known(it.low.map(|it| it.to_string())),
                    known(it.end.map(|it| it.to_string())),
                ]);
            }
        }
        table
    }

    fn lead_tables(&self) -> Vec<Table> {
        let mut log = Table::titled("log", &["cluster", "log id"]);
        let log_id =
            self.0.log_id.map_or_else(|| "the topics do not exist".to_owned(), |it| it.0.to_string());
        log.row([self.0.cluster_id.clone(), log_id]);
        let mut settings = Table::titled("settings", &["topic", "setting", "value"]);
        for topic in &self.0.topics {
            for (name, value) in &topic.settings {
                settings.row([topic.name.clone(), name.clone(), value.clone()]);
            }
        }
        vec![log, settings]
    }
}

fn brokers(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
