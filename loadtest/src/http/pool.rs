//! The connections.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;

use crate::books::{Moment, Stopwatch};

/// Where the server is, or nowhere while it is down. The number tells one life of it from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) life: u64,
}

/// Which queue for connections a request stands in. People at the door must not keep those who have something in
/// their hands from paying for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Door,
    Till,
}

/// A request, ready to be sent.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) token: &'a str,
    pub(crate) key: Option<&'a str>,
    /// JSON.
    pub(crate) body: Option<Bytes>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) is_replay: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// What became of a request that was sent.
pub(crate) struct Sent {
    /// Before the first byte left.
    pub(crate) sent: Moment,
    /// After the last byte came, or when waiting ended.
    pub(crate) received: Moment,
    /// Nothing if the connection broke or the patience ended.
    pub(crate) reply: Option<Reply>,
}

/// Shares connections among many buyers. Each request has a connection for itself while it lasts.
pub(crate) struct Client {
    target: watch::Receiver<Target>,
    watch: Stopwatch,
    door: Semaphore,
    till: Semaphore,
    idle: Mutex<Vec<Connection>>,
    in_flight: AtomicUsize,
}

struct Connection {
    life: u64,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// At most `connections` at once, at least 2; a quarter of them for [`Lane::Till`].
    pub(crate) fn new(target: watch::Receiver<Target>, watch: Stopwatch, connections: usize) -> Self {
        let till = (connections / 4).max(1);
        Self {
            target,
            watch,
            door: Semaphore::new(connections.saturating_sub(till).max(1)),
            till: Semaphore::new(till),
            idle: Mutex::new(Vec::with_capacity(connections)),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// Sends a request when it has a connection, and waits at most `patience` for the answer. While the server is down
    /// it waits for it to come back; a connection that cannot be made is tried again and again, because nothing was
    /// asked yet. After the patience ended the connection is closed: the server may or may not have heard.
    pub(crate) async fn send(&self, lane: Lane, request: &Request<'_>, patience: Duration) -> Sent {
        let lane = match lane {
            Lane::Door => &self.door,
            Lane::Till => &self.till,
        };
        let _turn: SemaphorePermit = lane.acquire().await.expect("the lanes are never closed");
        let mut connection = self.connection().await;
        let prepared = prepare(request);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let sent = self.watch.now();
        let reply = match timeout(patience, exchange(&mut connection.sender, prepared)).await {
            Ok(Ok(reply)) => Some(reply),
            Ok(Err(_)) | Err(_) => None,
        };
        let received = self.watch.now();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if reply.is_some() && !connection.sender.is_closed() {
            self.idle.lock().expect("nobody panics with it").push(connection);
        }
        Sent { sent, received, reply }
    }

    /// Requests that were sent and not answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    async fn connection(&self) -> Connection {
        let mut target = self.target.clone();
        loop {
            let now = *target.borrow_and_update();
            if let Some(address) = now.address {
                while let Some(mut idle) = self.reuse(now.life) {
                    if idle.sender.ready().await.is_ok() {
                        return idle;
                    }
                }
                if let Ok(sender) = connect(address).await {
                    return Connection { life: now.life, sender };
                }
            }
            // Down: until it is somewhere else. Up and out of reach: a moment, since nobody will tell.
            let _ = timeout(Duration::from_millis(50), target.changed()).await;
        }
    }

    fn reuse(&self, life: u64) -> Option<Connection> {
        let mut idle = self.idle.lock().expect("nobody panics with it");
        while let Some(connection) = idle.pop() {
            if connection.life == life && !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }
}

async fn connect(
    address: SocketAddr,
) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with an error when the server dies; whoever waits for an answer on it hears of it there.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn prepare(request: &Request<'_>) -> hyper::Request<Full<Bytes>> {
    let mut builder = hyper::Request::builder()
        .method(request.method.clone())
        .uri(request.path)
        .header(HOST, "holdfast")
        .header(AUTHORIZATION, request.token);
    if let Some(key) = request.key {
        builder = builder.header("idempotency-key", key);
    }
    let body = request.body.clone();
    if body.is_some() {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    builder.body(Full::new(body.unwrap_or_default())).expect("paths, tokens and keys are printable ASCII")
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Reply, hyper::Error> {
    let response = sender.send_request(request).await?;
    let status = response.status();
    let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok());
    let is_replay = header("idempotent-replay") == Some("true");
    let retry_after = header("retry-after").and_then(|it| it.parse().ok()).map(Duration::from_secs);
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Reply { status, is_replay, retry_after, body })
}

#[cfg(test)]
mod tests;
