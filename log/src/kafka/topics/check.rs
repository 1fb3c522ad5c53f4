//! Compares topics with what the promises rest on.

use std::collections::BTreeMap;

use super::wanted::{self, Role, WantedTopic};
use super::{Finding, Severity, TopicsSpec};
use crate::kafka::admin::Admin;
use crate::kafka::library::TopicInfo;
use crate::kafka::{KafkaConfig, KafkaError, Profile};

type Settings = BTreeMap<String, String>;

/// Everything that is not as it must be, topic for topic.
pub(super) fn findings(
    admin: &Admin<'_>,
    config: &KafkaConfig,
    spec: &TopicsSpec,
) -> Result<Vec<Finding>, KafkaError> {
    let wanted = wanted::topics(config, spec);
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let there = admin.topics(&names)?;
    let existing: Vec<String> = names.into_iter().filter(|name| there.contains_key(name)).collect();
    let settings = admin.settings(&existing)?;
    let mut findings = Vec::new();
    for topic in &wanted {
        let mut look = Look { topic, findings: &mut findings };
        let Some((info, settings)) = there.get(&topic.name).zip(settings.get(&topic.name)) else {
            look.missing();
            continue;
        };
        look.partition_count(info);
        look.replication(info, spec.profile);
        look.settings(settings, spec);
        look.availability(info, settings);
        if topic.role == Role::Commands {
            look.beginnings(admin, spec, info)?;
        }
    }
    Ok(findings)
}

/// A look at one topic.
struct Look<'a> {
    topic: &'a WantedTopic,
    findings: &'a mut Vec<Finding>,
}

impl Look<'_> {
    fn note(&mut self, severity: Severity, code: &'static str, sentence: String, advice: String) {
        self.findings.push(Finding { code, severity, topic: self.topic.name.clone(), sentence, advice });
    }

    fn error(&mut self, code: &'static str, sentence: String, advice: String) {
        self.note(Severity::Error, code, sentence, advice);
    }

    fn missing(&mut self) {
        let sentence = format!("There is no topic {}.", self.topic.name);
        self.error("topic-missing", sentence, "Make it with `holdfast topics create`.".to_owned());
    }

    fn partition_count(&mut self, info: &TopicInfo) {
        let (is, wanted) = (info.partitions.len(), self.topic.partitions);
        if u32::try_from(is) == Ok(wanted) {
            return;
        }
        let sentence =
            format!("{} has {} where there must be {wanted}.", self.topic.name, counted(is, "partition"));
        let advice = match self.topic.role {
            Role::Identity => "Two beginnings could be pinned in it; nothing may run on this topic.",
            _ => {
                "The count is fixed for the life of a log: another one sends SKUs to other partitions. Claim the count \
                 the log was made with, or make another log under another prefix."
            }
        };
        self.error("partition-count", sentence, advice.to_owned());
    }

    fn replication(&mut self, info: &TopicInfo, profile: Profile) {
        let wanted = profile.survives().replication_factor;
        let least = info.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0);
        if u32::try_from(least).is_ok_and(|is| is >= wanted) {
            return;
        }
        let sentence = format!(
            "{} has {}, and the profile `{profile}` claims {wanted}.",
            self.topic.name,
            counted(least, "replica")
        );
        let advice = "Add replicas with kafka-reassign-partitions, or claim the profile `single`.";
        self.error("replication-factor", sentence, advice.to_owned());
    }

    fn settings(&mut self, settings: &Settings, spec: &TopicsSpec) {
        let why = "Expiry rests on the time at which the brokers took a record; a producer's own clock could expire \
                   everything.";
        self.exactly("timestamp-type", settings, "message.timestamp.type", "LogAppendTime", why);
        let why = "Compaction and expiry of keys would take records out of the middle of the log.";
        self.exactly("cleanup-policy", settings, "cleanup.policy", "delete", why);
        let why = "A replica that missed records must not become the log.";
        self.exactly("unclean-election", settings, "unclean.leader.election.enable", "false", why);
        let why = "Size says nothing about whether a checkpoint covers what is deleted.";
        self.exactly("retention-bytes", settings, "retention.bytes", "-1", why);
        self.retention(settings, spec);
        self.record_size(settings);
        self.min_insync(settings, spec.profile);
    }

    fn exactly(&mut self, code: &'static str, settings: &Settings, key: &str, value: &str, why: &str) {
        let is = shown(settings, key);
        if is != value {
            let sentence = format!("{} has {key}={is} where it must be {value}.", self.topic.name);
            self.error(code, sentence, format!("{why} {}", self.alter(key, value)));
        }
    }

    fn retention(&mut self, settings: &Settings, spec: &TopicsSpec) {
        const KEY: &str = "retention.ms";
        let wanted = self.topic.role.retention_ms(spec);
        let is = shown(settings, KEY);
        let kept = is.parse::<u64>().ok();
        let long_enough = is == "-1" || wanted.zip(kept).is_some_and(|(wanted, kept)| kept >= wanted);
        if long_enough {
            return;
        }
        let needed = wanted.map_or("for ever".to_owned(), |ms| format!("for at least {ms} ms"));
        let sentence =
            format!("{} keeps records for {KEY}={is}, and they must be kept {needed}.", self.topic.name);
        let value = wanted.map_or("-1".to_owned(), |ms| ms.to_string());
        let advice = format!(
            "Holdfast deletes what a verified checkpoint covers; time must not. {}",
            self.alter(KEY, &value)
        );
        self.error("retention-time", sentence, advice);
    }

    fn record_size(&mut self, settings: &Settings) {
        const KEY: &str = "max.message.bytes";
        let least = self.topic.role.message_bytes();
        let is = shown(settings, KEY);
        if is.parse::<u64>().is_ok_and(|bytes| bytes >= u64::from(least)) {
            return;
        }
        let sentence = format!("{} takes {KEY}={is}, and its largest records need {least}.", self.topic.name);
        let advice = format!(
            "A record that the brokers refuse would stop its partition. {}",
            self.alter(KEY, &least.to_string())
        );
        self.error("record-size", sentence, advice);
    }

    fn min_insync(&mut self, settings: &Settings, profile: Profile) {
        const KEY: &str = "min.insync.replicas";
        let least = profile.survives().min_insync_replicas;
        let is = shown(settings, KEY);
        if is.parse::<u32>().is_ok_and(|replicas| replicas >= least) {
            return;
        }
        let sentence =
            format!("{} has {KEY}={is}, and the profile `{profile}` claims {least}.", self.topic.name);
        let advice = format!(
            "A record on fewer replicas is lost with them after it was answered. {}",
            self.alter(KEY, &least.to_string())
        );
        self.error("min-insync", sentence, advice);
    }

    /// What passes when brokers come back.
    fn availability(&mut self, info: &TopicInfo, settings: &Settings) {
        let min_insync = shown(settings, "min.insync.replicas").parse::<usize>().unwrap_or(1);
        let numbers = |chosen: Vec<u32>| chosen.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let partitions = || info.partitions.iter();
        let leaderless: Vec<_> =
            partitions().filter(|it| it.leader.is_none()).map(|it| it.partition).collect();
        let short: Vec<_> = partitions()
            .filter(|it| it.leader.is_some() && it.in_sync.len() < min_insync)
            .map(|it| it.partition)
            .collect();
        let behind: Vec<_> = partitions()
            .filter(|it| it.in_sync.len() >= min_insync && it.in_sync.len() < it.replicas.len())
            .map(|it| it.partition)
            .collect();
        let tight = partitions().any(|it| it.replicas.len() > 1 && it.replicas.len() <= min_insync);
        let topic = &self.topic.name;
        let passing = "It passes when the brokers are back and have caught up.".to_owned();
        let mut found = Vec::new();
        if !leaderless.is_empty() {
            found.push((
                "no-leader",
                format!("{topic} has no leader for partitions {}.", numbers(leaderless)),
                passing.clone(),
            ));
        }
        if !short.is_empty() {
            let sentence = format!(
                "{topic} takes no records in partitions {}: too few replicas are in sync.",
                numbers(short)
            );
            found.push(("below-min-insync", sentence, passing.clone()));
        }
        if !behind.is_empty() {
            let sentence = format!("{topic} has replicas that are behind in partitions {}.", numbers(behind));
            found.push(("under-replicated", sentence, passing));
        }
        if tight {
            let sentence = format!("{topic} needs all its replicas in sync: one broker away stops it.");
            let advice = "Have one replica more than min.insync.replicas.".to_owned();
            found.push(("min-insync-tight", sentence, advice));
        }
        for (code, sentence, advice) in found {
            self.note(Severity::Warning, code, sentence, advice);
        }
    }

    /// Whether the log still has what a recovery from the oldest verified checkpoint reads.
    fn beginnings(
        &mut self,
        admin: &Admin<'_>,
        spec: &TopicsSpec,
        info: &TopicInfo,
    ) -> Result<(), KafkaError> {
        for (partition, needed) in &spec.needed_from {
            if !info.partitions.iter().any(|it| it.partition == partition.0 && it.leader.is_some()) {
                continue;
            }
            let (low, end) = admin.ends(&self.topic.name, partition.0)?;
            if low > needed.0 {
                let sentence = format!(
                    "{} begins at offset {low} in partition {partition}, and the oldest verified checkpoint goes on at \
                     {needed}.",
                    self.topic.name
                );
                let advice = "Records that no checkpoint covers were deleted. Restore a checkpoint that was taken later, \
                              and find out who deleted them.";
                self.error("log-begins-too-late", sentence, advice.to_owned());
            } else if end < needed.0 {
                let sentence = format!(
                    "{} ends at offset {end} in partition {partition}, and a verified checkpoint goes on at {needed}.",
                    self.topic.name
                );
                let advice = "The log has lost records, or is another log than the checkpoint's.";
                self.error("log-ends-too-early", sentence, advice.to_owned());
            }
        }
        Ok(())
    }

    fn alter(&self, key: &str, value: &str) -> String {
        format!(
            "kafka-configs --alter --entity-type topics --entity-name {} --add-config {key}={value}",
            self.topic.name
        )
    }
}

fn shown<'a>(settings: &'a Settings, key: &str) -> &'a str {
    settings.get(key).map_or("(unknown)", String::as_str)
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
