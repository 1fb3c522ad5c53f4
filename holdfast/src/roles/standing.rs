//! How a role stands, for operators: one JSON document, figures for Prometheus, and whether it is ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use holdfast_contracts::PartitionId;
use holdfast_core::Machine;
use holdfast_engine::{Assignment, PartitionState, PartitionStatus, Sequencer, ShipStatus};
use holdfast_intake::Watched;
use holdfast_log::kafka::{KafkaLog, KafkaStats, LogOnKafka, MembershipNumbers, Profile};
use serde_json::{Value, json};

use super::dead::DeadFigures;
use super::figures;
use crate::failure::causes;

/// What there is to say about a role that runs.
pub(super) struct Standing {
    pub(super) role: &'static str,
    pub(super) profile: Profile,
    pub(super) found: LogOnKafka,
    pub(super) log: Arc<KafkaLog>,
    pub(super) sequencer: Arc<Sequencer<Machine>>,
    pub(super) changing: Mutex<Changing>,
    pub(super) dead: Option<Arc<DeadFigures>>,
    /// A role that is only ready while it is in the group.
    pub(super) needs_group: bool,
}

/// What whoever runs the role looks up now and then.
#[derive(Debug, Default, Clone)]
pub(super) struct Changing {
    pub(super) instance: String,
    pub(super) group: Option<MembershipNumbers>,
    pub(super) draining: bool,
    pub(super) shipped: Vec<(PartitionId, ShipStatus)>,
}

impl Standing {
    pub(super) fn change(&self, change: impl FnOnce(&mut Changing)) {
        change(&mut self.changing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn changing(&self) -> Changing {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One word for what a partition is here.
pub(super) const fn assignment_name(assignment: Assignment) -> &'static str {
    match assignment {
        Assignment::Active => "active",
        Assignment::Standby => "standby",
        Assignment::None => "none",
    }
}

/// Whether a partition does what it is assigned to do.
fn is_as_assigned(status: &PartitionStatus) -> bool {
    status.assignment == Assignment::None || status.is_live() && status.stuck.is_none()
}

impl Watched for Standing {
    /// Ready while replaying or stuck it is not: whatever partitions it has are up to date, and it is in the group.
    fn is_ready(&self) -> bool {
        let changing = self.changing();
        let in_group = !self.needs_group
            || changing.group.as_ref().is_some_and(|it| it.group_generation.is_some()) && !changing.draining;
        in_group && self.sequencer.statuses().iter().all(is_as_assigned)
    }

    fn status(&self) -> String {
        let changing = self.changing();
        let survives = self.profile.survives();
        let group = changing.group.as_ref().map(|it| {
            json!({
                "instance": changing.instance, "generation": it.group_generation, "rebalances": it.rebalances,
                "draining": changing.draining, "commit_failures": it.commit_failures, "last_error": it.last_error,
            })
        });
        let shipped: BTreeMap<PartitionId, &ShipStatus> =
            changing.shipped.iter().map(|(id, it)| (*id, it)).collect();
        let partition = |it: &PartitionStatus| partition(it, shipped.get(&it.partition).copied());
        let statuses = self.sequencer.statuses();
        json!({
            "role": self.role,
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.is_ready(),
            "log": {
                "kind": "kafka", "log_id": self.found.log_id.to_string(), "cluster_id": self.found.cluster_id,
                "profile": survives, "status": format!("{:?}", holdfast_log::OrderedLog::status(self.log.as_ref())),
                "client": client(&self.log.stats()),
            },
            "group": group,
            "dead_letters": self.dead.as_ref().map(|it| it.sent()),
            "partitions": statuses.iter().map(partition).collect::<Vec<_>>(),
        })
        .to_string()
    }

    fn metrics(&self) -> String {
        let changing = self.changing();
        figures::text(
            &self.sequencer.statuses(),
            &self.log.stats(),
            &changing,
            self.dead.as_deref(),
            self.is_ready(),
        )
    }
}

fn client(stats: &KafkaStats) -> Value {
    json!({
        "delivery_errors": stats.delivery_errors, "producer_rebuilds": stats.producer_rebuilds,
        "consumer_rebuilds": stats.consumer_rebuilds, "unsettled_bytes": stats.unsettled_bytes,
        "unsettled_records": stats.unsettled_records, "last_error": stats.last_error,
    })
}

fn partition(status: &PartitionStatus, shipped: Option<&ShipStatus>) -> Value {
    let stopped = match &status.state {
        PartitionState::Stopped(reason) => Some(json!({"reason": causes(reason), "advice": reason.advice()})),
        _ => None,
    };
    json!({
        "partition": status.partition.0,
        "assignment": assignment_name(status.assignment),
        "generation": status.generation.0,
        "settled": status.is_settled,
        "state": status.state.name(),
        "stopped": stopped,
        "stuck": status.stuck.as_ref().map(|it| json!({"since_ms": it.since.0, "why": it.why})),
        "applied": status.next_offset.0,
        "durable": status.acknowledged_offset.0,
        "high_watermark": status.log_end.0,
        "lag_records": status.lag_records(),
        "lag_ms": status.lag_ms,
        "out_seq": status.out_seq.0,
        "unacknowledged": status.outputs_unacknowledged,
        "checkpoint": {"offset": status.checkpoint_offset.0, "bytes": status.checkpoint_bytes},
        "archived": shipped.and_then(archived),
        "archive_failure": shipped.and_then(|it| it.failed.as_ref()).map(|it| causes(it)),
        "clock_suspect": status.clock_suspect,
        "rebuilds": status.rebuilds,
        "promotions": status.promotions,
        "handovers": status.handovers,
    })
}

fn archived(status: &ShipStatus) -> Option<Value> {
    let anchor = status.verified.as_ref()?;
    Some(json!({
        "offset": anchor.next_offset.0, "bytes": status.bytes, "age_s": age_s(status),
        "ship_ms": u64::try_from(status.ship_took.as_millis()).unwrap_or(u64::MAX),
        "read_back_ms": u64::try_from(status.read_back_took.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Seconds since the last verified checkpoint was shipped.
pub(super) fn age_s(status: &ShipStatus) -> Option<u64> {
    let age = SystemTime::now().duration_since(status.verified_at?);
    // A clock that was set back makes it new.
    Some(age.unwrap_or_default().as_secs())
}
