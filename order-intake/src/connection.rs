//! Connections of one thread: accepted up to a bound, cut off when they dawdle, and ended in an orderly way.

mod stream;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use crate::api;
use crate::body::After;
use crate::config::IntakeConfig;
use crate::shard::{Shard, Stage};
use stream::Stream;

/// How often connections are looked through for those that dawdle.
const LOOK: Duration = Duration::from_millis(250);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of the next request has come.
    Idle,
    /// A part of the head of a request has come.
    Head,
    /// A request is being answered.
    Request,
    /// The last answer was given; what the client still sends is thrown away.
    Closing,
}

/// What others may see and tell of a connection.
struct Line {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Nothing was ever asked.
    is_new: Cell<bool>,
    cut: Cell<bool>,
    draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Line {
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// All connections of a thread.
pub(crate) struct Connections {
    lines: RefCell<Vec<Rc<Line>>>,
    max: usize,
    header_timeout: Duration,
    idle_timeout: Duration,
    closing_timeout: Duration,
    one_ended: Notify,
}

impl Connections {
    pub(crate) fn new(config: &IntakeConfig) -> Self {
        let shards = u32::from(config.shards.get());
        Self {
            lines: RefCell::default(),
            max: (config.connections_max.get() / shards) as usize,
            header_timeout: Duration::from_millis(config.header_timeout_ms.get()),
            idle_timeout: Duration::from_millis(config.idle_timeout_ms.get()),
            closing_timeout: Duration::from_millis(config.body_timeout_ms.get()),
            one_ended: Notify::new(),
        }
    }

    fn open(&self) -> usize {
        self.lines.borrow().len()
    }

    /// Cuts off those that take too long.
    fn look_through(&self, now: Instant) {
        for line in self.lines.borrow().iter() {
            let limit = match line.phase.get() {
                Phase::Idle if line.is_new.get() => self.header_timeout,
                Phase::Idle => self.idle_timeout,
                Phase::Head => self.header_timeout,
                Phase::Closing => self.closing_timeout,
                Phase::Request => continue,
            };
            if now.saturating_duration_since(line.since.get()) >= limit {
                line.cut.set(true);
                line.wake();
            }
        }
    }

    /// Lets every connection finish what it does and end.
    fn drain(&self) {
        for line in self.lines.borrow().iter() {
            line.draining.set(true);
            line.wake();
        }
    }

    fn enter(&self, line: Rc<Line>) {
        self.lines.borrow_mut().push(line);
    }

    fn leave(&self, line: &Rc<Line>) {
        self.lines.borrow_mut().retain(|other| !Rc::ptr_eq(other, line));
        self.one_ended.notify_one();
    }
}

/// Accepts connections until the stage changes, then lets them end. Says whether they did in time.
pub(crate) async fn serve(
    shard: &Rc<Shard>,
    listener: TcpListener,
    mut stage: watch::Receiver<Stage>,
) -> bool {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the socket was made for this");
    let router = api::router(&shard.shared);
    tokio::task::spawn_local(look_through(Rc::clone(shard)));
    loop {
        tokio::select! {
            accepted = accept(shard, &listener) => match accepted {
                Ok(stream) => {
                    // Listed at once: the next one is accepted before this one is looked at.
                    let listed = Listed::enter(shard);
                    tokio::task::spawn_local(run(listed, router.clone(), stream));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: those that are open must end first.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = stage.changed() => break,
        }
    }
    drop(listener);
    let Stage::Draining { until } = *stage.borrow() else { return false };
    shard.connections.drain();
    let all_ended = async {
        while shard.connections.open() > 0 {
            shard.connections.one_ended.notified().await;
        }
    };
    tokio::time::timeout_at(until.into(), all_ended).await.is_ok()
}

async fn accept(shard: &Shard, listener: &tokio::net::TcpListener) -> io::Result<TcpStream> {
    while shard.connections.open() >= shard.connections.max {
        shard.connections.one_ended.notified().await;
    }
    listener.accept().await.map(|(stream, _)| stream)
}

async fn look_through(shard: Rc<Shard>) {
    loop {
        tokio::time::sleep(LOOK).await;
        shard.connections.look_through(Instant::now());
        shard.metrics.note_connections(shard.connections.open());
    }
}

/// Removes a connection from the list, however it ends.
struct Listed(Rc<Shard>, Rc<Line>);

impl Listed {
    fn enter(shard: &Rc<Shard>) -> Self {
        let line = Rc::new(Line {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            is_new: Cell::new(true),
            cut: Cell::new(false),
            draining: Cell::new(false),
            waker: RefCell::default(),
        });
        shard.connections.enter(Rc::clone(&line));
        Self(Rc::clone(shard), line)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.connections.leave(&self.1);
    }
}

async fn run(listed: Listed, router: api::Router, stream: TcpStream) {
    let Listed(shard, line) = &listed;
    let service = service_fn(|request| {
        line.is_new.set(false);
        line.enter(Phase::Request);
        let (shard, line, router) = (Rc::clone(shard), Rc::clone(line), &router);
        async move {
            let (answer, after) = api::answer(&shard, router, request).await;
            match after {
                After::KeepAlive => line.enter(Phase::Idle),
                After::Close => {
                    line.enter(Phase::Closing);
                    // Nothing else may come that would let the connection notice its end.
                    line.wake();
                }
            }
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let io = Stream::new(stream, Rc::clone(line));
    let bytes_max = shard.shared.config.header_bytes_max.get() as usize;
    // Without hyper's `pipeline_flush`: it holds answers back while a part of another request has come, and loses them
    // when that part turns out to be no request.
    let connection = http1::Builder::new().max_buf_size(bytes_max).serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut was_told = false;
    let ended = poll_fn(|context| {
        if line.waker.borrow().is_none() {
            *line.waker.borrow_mut() = Some(context.waker().clone());
        }
        if line.cut.get() {
            return Poll::Ready(Ok(()));
        }
        if line.draining.get() && !was_told {
            was_told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection broke");
    }
}
