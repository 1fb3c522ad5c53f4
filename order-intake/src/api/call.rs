//! What the handlers behind the router have in common.

use std::future::Future;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use holdfast_contracts::PartitionId;
use holdfast_contracts::limits::{SALE_ID_BYTES_MAX, SKU_BYTES_MAX};
use holdfast_core::Machine;
use holdfast_engine::PartitionStatus;
use hyper::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::auth::Principal;
use crate::metrics::Route;
use crate::names::check_name;
use crate::problem::{Problem, UNAVAILABLE};
use crate::respond::{About, Reply};
use crate::shard::{BEHIND_LOOK, current};
use crate::{body, headers};

/// A request, taken apart.
pub(super) struct Call {
    pub(super) about: About,
    pub(super) headers: HeaderMap,
    pub(super) until: Instant,
    body: Body,
}

impl Call {
    pub(super) fn principal(&self) -> Result<Principal, Problem> {
        current().authenticate(&self.headers)
    }

    pub(super) fn admin(&self) -> Result<Principal, Problem> {
        current().authenticate_admin(&self.headers)
    }

    /// The body, which must be JSON.
    pub(super) async fn json(self) -> Result<Bytes, Problem> {
        headers::must_be_json(&self.headers)?;
        self.bytes().await
    }

    /// The body, which must be JSON unless there is none.
    pub(super) async fn optional_json(self) -> Result<Option<Bytes>, Problem> {
        let is_json = headers::must_be_json(&self.headers);
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        is_json.map(|()| Some(bytes))
    }

    async fn bytes(self) -> Result<Bytes, Problem> {
        let (bytes_max, patience) = {
            let shard = current();
            let config = &shard.shared.config;
            (config.body_bytes_max.get() as usize, Duration::from_millis(config.body_timeout_ms.get()))
        };
        body::read(self.body, bytes_max, patience).await
    }
}

/// Answers a request with what `handle` makes of it.
pub(super) async fn tell<F>(request: Request, route: Route, handle: impl FnOnce(Call) -> F) -> Response
where
    F: Future<Output = Result<Reply, Problem>>,
{
    let (head, body) = request.into_parts();
    let (about, until) = {
        let shard = current();
        let mut about = shard.about(&head.headers);
        let wait = shard.wait(&mut about, &head.headers);
        (about, Instant::now() + wait)
    };
    let told = handle(Call { about, headers: head.headers, until, body }).await;
    let shard = current();
    let reply = told.unwrap_or_else(|problem| shard.arena.borrow_mut().problem(&about, &problem));
    shard.metrics.note_answer(route, reply.status().as_u16());
    reply.map(Body::new)
}

/// What stands in the path, or a problem when it cannot be read.
pub(super) struct InPath<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::from_request_parts(head, state).await {
            Ok(Path(read)) => Ok(Self(read)),
            Err(error) => {
                let shard = current();
                let about = shard.about(&head.headers);
                let problem = Problem::in_path(faulty(error), "not UTF-8");
                shard.metrics.note_answer(Route::Other, problem.kind.status);
                let reply = shard.arena.borrow_mut().problem(&about, &problem);
                Err(reply.map(Body::new))
            }
        }
    }
}

/// The variable that cannot be read.
fn faulty(error: PathRejection) -> String {
    match error {
        PathRejection::FailedToDeserializePathParams(error) => match error.into_kind() {
            ErrorKind::InvalidUtf8InPathParam { key } => key,
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// A JSON answer.
pub(super) fn json(about: &About, status: u16, write: impl FnOnce(&mut BytesMut)) -> Reply {
    current().arena.borrow_mut().json(about, status, write)
}

/// A SKU in a path.
pub(super) fn sku_in_path(sku: &str) -> Result<(), Problem> {
    check_name(sku, SKU_BYTES_MAX).map_err(|detail| Problem::in_path("sku", detail))
}

/// A sale id in a path.
pub(super) fn sale_in_path(id: &str) -> Result<(), Problem> {
    check_name(id, SALE_ID_BYTES_MAX).map_err(|detail| Problem::in_path("id", detail))
}

/// Lets `look` look at the machine of a partition, without keeping this thread from anything else.
pub(super) async fn look<R: Send + 'static>(
    partition: PartitionId,
    until: Instant,
    look: impl FnOnce(&Machine, &PartitionStatus) -> R + Send + 'static,
) -> Result<R, Problem> {
    let not_now = || Problem::new(&UNAVAILABLE, "The partition cannot be asked now.");
    // Nobody is shown less than this process has told.
    let told = current().shared.progress.told(partition);
    let mut look = look;
    loop {
        let answered = {
            let (answer, answered) = oneshot::channel();
            let query = move |machine: Option<&Machine>, status: &PartitionStatus| {
                let seen = match machine {
                    None => Seen::Nothing,
                    Some(_) if status.next_offset < told => Seen::TooLittle(look),
                    Some(machine) => Seen::Found(look(machine, status)),
                };
                // Whoever asked may have given up.
                answer.send(seen).ok();
            };
            current().shared.sequencer.query(partition, Box::new(query)).map_err(|_| not_now())?;
            answered
        };
        look = match tokio::time::timeout_at(until.into(), answered).await {
            Ok(Ok(Seen::Found(found))) => return Ok(found),
            Ok(Ok(Seen::TooLittle(again))) if Instant::now() < until => again,
            _ => return Err(not_now()),
        };
        tokio::time::sleep(BEHIND_LOOK).await;
    }
}

/// What a look at a machine came to.
enum Seen<R, F> {
    /// It is not there.
    Nothing,
    /// It is behind what was told; the look is given back.
    TooLittle(F),
    Found(R),
}
