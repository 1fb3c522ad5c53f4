//! One thread: its runtime, its listening socket, its connections.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, watch};

use crate::shared::Shared;

/// What the threads of an intake do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// They accept connections and answer requests.
    Serving,
    /// They answer what has begun, until then.
    Draining { until: Instant },
}

/// Runs a shard until it is told to drain. Says whether everything that had begun was answered.
pub(crate) fn run(
    shared: &Arc<Shared>,
    number: usize,
    listener: TcpListener,
    stage: watch::Receiver<Stage>,
) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("the system gives a thread its event queue");
    let _ = (shared, number, listener, stage);
    runtime.block_on(async { true })
}
