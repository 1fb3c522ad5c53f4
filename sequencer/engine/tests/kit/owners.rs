//! Several processes on one simulated log, each with its own view of it and its own checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use holdfast_core::Machine;
use holdfast_engine::{
    Assignment, Handover, PartitionState, PartitionStatus, Sequencer, SequencerConfig, Settled, WorkerConfig,
};
use holdfast_log::simulated::View;
use holdfast_log::{OrderedLog, SimulatedLog};

use super::steps::{db_at, machine_for, outputs, quiet, records, run, simulated};
use super::{COMMANDS, DECISIONS, ONLY, PATIENCE, wait_for};

/// A process that may own the partition.
pub(crate) struct Owner {
    pub(crate) log: Arc<SimulatedLog>,
    pub(crate) view: Arc<View>,
    pub(crate) sequencer: Sequencer<Machine>,
}

impl Owner {
    pub(crate) fn start(log: &Arc<SimulatedLog>, directory: &Path) -> Self {
        Self::start_as(quiet(), log, directory)
    }

    pub(crate) fn start_as(worker: WorkerConfig, log: &Arc<SimulatedLog>, directory: &Path) -> Self {
        let view = Arc::new(log.view());
        let db = Arc::new(db_at(directory));
        let partitions = vec![(worker, machine_for(log.as_ref()))];
        let config = SequencerConfig { partitions, threads: 1, standby: false };
        let port = Arc::clone(&view) as Arc<dyn OrderedLog>;
        let sequencer = Sequencer::start_unassigned(&port, &config, move |partition| db.partition(partition));
        Self { log: Arc::clone(log), view, sequencer }
    }

    /// Assigns the partition; what came of it arrives on the channel.
    pub(crate) fn assign(&self, to: Assignment, how: Handover) -> Receiver<Settled> {
        let (tell, told) = sync_channel(1);
        let on_settled = move |settled| tell.send(settled).expect("one message has room");
        self.sequencer.assign(ONLY, to, how, on_settled).expect("it is run here");
        told
    }

    pub(crate) fn becomes(&self, to: Assignment) -> Settled {
        let settled = self.assign(to, Handover { patience: PATIENCE, checkpoint: false });
        settled.recv_timeout(PATIENCE).expect("it is settled in time")
    }

    pub(crate) fn status(&self) -> PartitionStatus {
        let status = self.sequencer.statuses().remove(0);
        assert!(!matches!(status.state, PartitionState::Stopped(_)), "{status:?}");
        status
    }

    /// Waits until its status is like this.
    pub(crate) fn wait(&self, mut look: impl FnMut(&PartitionStatus) -> bool) -> PartitionStatus {
        wait_for(self.log.as_ref(), DECISIONS, || {
            let status = self.status();
            look(&status).then_some(status)
        })
    }

    /// Waits until it has applied everything.
    pub(crate) fn catches_up(&self) -> PartitionStatus {
        let end = self.log.watermarks(COMMANDS).end;
        self.wait(|status| status.is_live() && status.next_offset >= end)
    }
}

/// Waits until every command is answered, and makes sure that the answers are those of an owner who was never disturbed.
pub(crate) fn all_is_said(log: &Arc<SimulatedLog>) {
    let directory = tempfile::tempdir().expect("a directory");
    let undisturbed = simulated(1, &[]);
    for command in records(log.as_ref(), COMMANDS) {
        undisturbed.set_clock(COMMANDS, command.append_time);
        undisturbed.append(COMMANDS, command.payload).expect("the log takes it");
    }
    run(&undisturbed, &db_at(directory.path())).expect("nothing is wrong");
    let expected: Vec<Bytes> =
        records(undisturbed.as_ref(), DECISIONS).into_iter().map(|it| it.payload).collect();
    wait_for(log.as_ref(), DECISIONS, || (outputs(log.as_ref()).len() >= expected.len()).then_some(()));
    assert!(outputs(log.as_ref()) == expected, "the decisions are not those that the commands give");
}
