//! Figures of a role in the text format of Prometheus.

use std::fmt::Write;

use holdfast_engine::{Assignment, PartitionStatus};
use holdfast_log::kafka::KafkaStats;

use super::dead::DeadFigures;
use super::standing::{Changing, age_s};

/// Name, type, help, value.
type Figure = (&'static str, &'static str, &'static str, fn(&PartitionStatus) -> u64);

const PARTITION: [Figure; 14] = [
    ("active", "gauge", "Whether this process answers for it.", |it| {
        u64::from(it.assignment == Assignment::Active)
    }),
    ("standby", "gauge", "Whether this process keeps it warm.", |it| {
        u64::from(it.assignment == Assignment::Standby)
    }),
    ("live", "gauge", "Whether it is up to date.", |it| u64::from(it.is_live())),
    ("stuck", "gauge", "Whether it should go on and does not.", |it| {
        u64::from(it.stuck.is_some() || it.is_stopped())
    }),
    ("applied_offset", "gauge", "The first command not applied.", |it| it.next_offset.0),
    ("durable_offset", "gauge", "The first command whose output is not known to be in the log.", |it| {
        it.acknowledged_offset.0
    }),
    ("high_watermark", "gauge", "The end of the commands, as far as is known.", |it| it.log_end.0),
    ("lag_records", "gauge", "Command records that are not applied.", PartitionStatus::lag_records),
    ("lag_ms", "gauge", "Age of the oldest command that is not applied, at most.", |it| it.lag_ms),
    ("checkpoint_offset", "gauge", "The first command not in the last checkpoint.", |it| {
        it.checkpoint_offset.0
    }),
    ("checkpoint_bytes", "gauge", "Size of the last checkpoint.", |it| it.checkpoint_bytes),
    ("rebuilds_total", "counter", "Times it was built again from checkpoint and log.", |it| {
        u64::from(it.rebuilds)
    }),
    ("promotions_total", "counter", "Times a standby took over here.", |it| u64::from(it.promotions)),
    ("handovers_total", "counter", "Times it was handed over from here.", |it| u64::from(it.handovers)),
];

/// All figures.
pub(super) fn text(
    partitions: &[PartitionStatus],
    client: &KafkaStats,
    changing: &Changing,
    dead: Option<&DeadFigures>,
    is_ready: bool,
) -> String {
    let mut out = String::with_capacity(8 << 10);
    for (name, kind, help, value) in PARTITION {
        head(&mut out, &format!("holdfast_owner_{name}"), kind, help);
        for status in partitions {
            let partition = status.partition.0;
            line(
                &mut out,
                format_args!("holdfast_owner_{name}{{partition=\"{partition}\"}} {}", value(status)),
            );
        }
    }
    head(&mut out, "holdfast_archive_age_seconds", "gauge", "Time since a verified checkpoint was shipped.");
    for (partition, status) in &changing.shipped {
        if let Some(age) = age_s(status) {
            line(
                &mut out,
                format_args!("holdfast_archive_age_seconds{{partition=\"{}\"}} {age}", partition.0),
            );
        }
    }
    let failures: u64 = changing.shipped.iter().map(|(_, it)| u64::from(it.failures)).sum();
    let group = changing.group.clone().unwrap_or_default();
    let simple: [(&str, &str, &str, u64); 9] = [
        ("kafka_delivery_errors_total", "counter", "Records whose delivery failed.", client.delivery_errors),
        ("kafka_producer_rebuilds_total", "counter", "Producers built again.", client.producer_rebuilds),
        ("kafka_consumer_rebuilds_total", "counter", "Consumers built again.", client.consumer_rebuilds),
        ("kafka_unsettled_bytes", "gauge", "Bytes accepted and not acknowledged.", client.unsettled_bytes),
        ("group_rebalances_total", "counter", "Times that partitions were given or taken.", group.rebalances),
        (
            "group_commit_failures_total",
            "counter",
            "Commits for lag tools that failed.",
            group.commit_failures,
        ),
        ("archive_failures", "gauge", "Rounds of shipping that failed since the last good one.", failures),
        ("dead_letters_total", "counter", "Undecodable records copied.", dead.map_or(0, DeadFigures::sent)),
        ("role_ready", "gauge", "Whether the role does its work.", u64::from(is_ready)),
    ];
    for (name, kind, help, value) in simple {
        head(&mut out, &format!("holdfast_{name}"), kind, help);
        line(&mut out, format_args!("holdfast_{name} {value}"));
    }
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("memory takes every line");
}
