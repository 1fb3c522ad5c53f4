//! Settings that are not to be touched, and names that mean the same.

use std::collections::BTreeMap;

use super::ConfigError;

/// Settings that are not to be touched, and what rests on each.
const PROTECTED: &[(&str, &str)] = &[
    ("acks", "an answer leaves only when every in-sync replica has its record"),
    ("allow.auto.create.topics", "a topic that creates itself has the wrong settings"),
    ("auto.offset.reset", "a silent jump would sell units twice"),
    ("bootstrap.servers", "it is set as `bootstrap`"),
    ("check.crcs", "a flipped bit must not be decided upon"),
    ("client.id", "it is set as `client_id`: members of a group are told apart by it"),
    ("delivery.report.only.error", "what is durable is known from the reports of delivered records"),
    ("enable.auto.commit", "offsets come from the checkpoint"),
    ("enable.auto.offset.store", "offsets come from the checkpoint"),
    ("enable.gapless.guarantee", "nothing may slip past a record that was refused"),
    ("enable.idempotence", "the order of records rests on it"),
    ("enable.partition.eof", "positions are kept by Holdfast"),
    ("enabled_events", "Holdfast sets which events it serves"),
    ("group.id", "membership is set up by Holdfast"),
    ("group.instance.id", "membership is set up by Holdfast"),
    ("group.protocol", "hand-over rests on it"),
    ("group.protocol.type", "hand-over rests on it"),
    ("group.remote.assignor", "hand-over rests on it"),
    ("heartbeat.interval.ms", "it follows from the session time-out of the membership"),
    ("isolation.level", "aborted transactions of strangers must not be read"),
    ("log.queue", "Holdfast reads what the client logs"),
    ("max.poll.interval.ms", "it follows from the session time-out of the membership"),
    ("offset.store.method", "offsets come from the checkpoint"),
    ("offset.store.path", "offsets come from the checkpoint"),
    ("partition.assignment.strategy", "hand-over rests on it"),
    ("partitioner", "every record names its partition"),
    ("queuing.strategy", "the order of records rests on it"),
    ("session.timeout.ms", "it is set for the membership"),
    ("topic.blacklist", "it could hide the log"),
    ("transactional.id", "there are no transactions"),
];

/// Names of the client library that mean the same: the one, and the one that is used here.
const ALIASES: &[(&str, &str)] = &[
    ("auto.commit.enable", "enable.auto.commit"),
    ("compression.codec", "compression.type"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("message.send.max.retries", "retries"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
];

/// The least value of some settings.
const LEAST: &[(&str, u64, &str)] = &[
    (
        "delivery.timeout.ms",
        5_000,
        "a broker that is away for a moment would interrupt every partition; 0 waits for ever",
    ),
    ("message.max.bytes", 9_000_000, "decisions are as large as 8 MiB"),
    (
        "queue.buffering.max.kbytes",
        9_000,
        "decisions are as large as 8 MiB, and one that never fits would wait for ever",
    ),
];

/// The name under which a setting is known here.
pub(super) fn canonical(key: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, name)| name)
}

/// Refuses what is protected, too low, or set under two names.
pub(super) fn check(table: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (key, value) in table {
        let name = canonical(key);
        if let Some((_, why)) = PROTECTED.iter().find(|(protected, _)| *protected == name) {
            return Err(ConfigError::Protected { key: key.clone(), why });
        }
        if name != key && table.contains_key(name) {
            return Err(ConfigError::Twice { key: key.clone(), other: name.to_owned() });
        }
        // What is no number the client library refuses.
        let number = value.trim().parse::<u64>().ok();
        let bound = LEAST.iter().find(|(bounded, ..)| *bounded == name).zip(number);
        let Some((&(_, least, why), number)) = bound else { continue };
        let endless = name == "delivery.timeout.ms" && number == 0;
        if number < least && !endless {
            return Err(ConfigError::TooLow { key: key.clone(), least, why });
        }
    }
    Ok(())
}
