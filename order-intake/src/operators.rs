//! What operators see of a role: probes, figures, and how it stands. A role without buyers has an address for them alone.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use crate::error::IntakeError;
use crate::listen;

/// Connections at one time. Whoever scrapes needs one.
const CONNECTIONS_MAX: usize = 64;
/// A connection is ended after so long, whatever it does.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(60);

/// Something that runs and says how it stands. Asked from a thread that must not wait.
pub trait Watched: Send + Sync {
    /// Whether it does its work now.
    fn is_ready(&self) -> bool;
    /// How it stands: one JSON object.
    fn status(&self) -> String;
    /// Figures in the text format of Prometheus, each line with its end.
    fn metrics(&self) -> String;
}

/// The pages `/livez`, `/readyz`, `/startupz`, `/status` and `/metrics` of a role that serves no buyers. They are not
/// guarded: listen where only operators come. Dropping it ends them.
pub struct OperatorPages {
    address: SocketAddr,
    end: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl OperatorPages {
    /// Begins to listen, on one thread of its own.
    ///
    /// # Errors
    /// [`IntakeError`] if the address cannot be listened to or the thread not be started.
    pub fn start(listen: SocketAddr, watched: Arc<dyn Watched>) -> Result<Self, IntakeError> {
        let (address, mut listeners) = listen::bind(listen, 1)?;
        let listener = listeners.remove(0);
        let (end, ended) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("operators".to_owned())
            .spawn(move || run(listener, &watched, ended))
            .map_err(IntakeError::Thread)?;
        Ok(Self { address, end, thread: Mutex::new(Some(thread)) })
    }

    /// The address it listens to, with the port that was chosen if the settings left it open.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OperatorPages {
    fn drop(&mut self) {
        self.end.send_replace(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // One that panicked has ended as well.
            thread.join().ok();
        }
    }
}

fn run(listener: TcpListener, watched: &Arc<dyn Watched>, mut ended: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a thread its event queue");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the socket was made for this");
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place.expect("it is never closed"),
                _ = ended.changed() => return,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = ended.changed() => return,
            };
            let Ok((stream, _)) = accepted else {
                // Out of files, most likely: there is room again when a connection ends.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let watched = Arc::clone(watched);
            tokio::spawn(async move {
                // Whoever asks may go away in the middle.
                tokio::time::timeout(CONNECTION_LIFE_MAX, serve(stream, watched)).await.ok();
                drop(place);
            });
        }
    });
}

async fn serve(stream: TcpStream, watched: Arc<dyn Watched>) {
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = page(watched.as_ref(), request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.ok();
}

fn page(watched: &dyn Watched, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if *method != Method::GET {
        return answer(StatusCode::METHOD_NOT_ALLOWED, JSON, "{\"error\":\"only GET\"}\n".to_owned());
    }
    match path {
        "/livez" => answer(StatusCode::OK, JSON, "{\"ok\":true}\n".to_owned()),
        "/readyz" | "/startupz" => {
            let is_ready = watched.is_ready();
            let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer(status, JSON, format!("{{\"ready\":{is_ready}}}\n"))
        }
        "/status" => answer(StatusCode::OK, JSON, watched.status() + "\n"),
        "/metrics" => answer(StatusCode::OK, PROMETHEUS, watched.metrics()),
        _ => answer(StatusCode::NOT_FOUND, JSON, "{\"error\":\"no such page\"}\n".to_owned()),
    }
}

const JSON: &str = "application/json";
/// The text format of Prometheus.
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
