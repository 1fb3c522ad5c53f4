//! Every route. Asking for a reservation goes straight to its handler; everything else through the router.

mod availability;
mod call;
mod probes;
mod reservations;
mod sales;
mod stock;

use std::rc::Rc;
use std::sync::Arc;

use axum::routing::{get, post, put};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response};
use hyper_util::service::TowerToHyperService;

use crate::body::{After, Inflow, Loan, Rest};
use crate::headers::must_name_host;
use crate::metrics::Route;
use crate::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem};
use crate::reserve;
use crate::shard::Shard;
use crate::shared::Shared;
use call::tell;

pub(crate) type Router = axum::Router;
pub(crate) type Body = Either<Full<Bytes>, axum::body::Body>;

/// Answers a request. Says in the answer, too, if it is the last one of its connection.
pub(crate) async fn answer(
    shard: &Rc<Shard>,
    router: &Router,
    request: Request<Incoming>,
) -> (Response<Body>, After) {
    let (mut answer, after) = if let Err(problem) = must_name_host(request.version(), request.headers()) {
        Box::pin(refused(shard, request, problem)).await
    } else if request.uri().path() == "/v1/reservations" && request.method() == Method::POST {
        let (reply, after) = reserve::post(shard, request).await;
        (reply.map(Either::Left), after)
    } else {
        // In a box of its own: every request for a reservation would carry the room for it.
        Box::pin(routed(router, request)).await
    };
    if after == After::Close {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    (answer, after)
}

async fn refused(shard: &Rc<Shard>, request: Request<Incoming>, problem: Problem) -> (Response<Body>, After) {
    let about = shard.about(request.headers());
    let reply = shard.arena.borrow_mut().problem(&about, &problem);
    shard.metrics.note_answer(Route::Other, reply.status().as_u16());
    let rest = Rest::of(request.headers().get(EXPECT), reply.status());
    let after = Inflow::new(request.into_body()).settle(rest).await;
    (reply.map(Either::Left), after)
}

async fn routed(router: &Router, request: Request<Incoming>) -> (Response<Body>, After) {
    let awaits = request.headers().get(EXPECT).cloned();
    let (head, body) = request.into_parts();
    let (loan, mut returned) = Loan::of(Inflow::new(body));
    let service = TowerToHyperService::new(router.clone());
    let Ok(answer) = service.call(Request::from_parts(head, loan)).await;
    let after = match returned.try_recv() {
        Ok(body) => body.settle(Rest::of(awaits.as_ref(), answer.status())).await,
        Err(_) => After::Close,
    };
    (answer.map(Either::Right), after)
}

/// The routes that are not asked for a reservation.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    axum::Router::new()
        .route("/v1/reservations/{id}", get(reservations::show))
        .route("/v1/reservations/{id}/confirm", post(reservations::confirm))
        .route("/v1/reservations/{id}/release", post(reservations::release))
        .route("/v1/reservations/{id}/extend", post(reservations::extend))
        .route("/v1/skus/{sku}/availability", get(availability::show))
        .route("/v1/admin/skus/{sku}/stock", put(stock::set))
        .route("/v1/admin/skus/{sku}/adjustments", post(stock::adjust))
        .route("/v1/admin/sales/{id}", put(sales::define).get(sales::show))
        .route("/v1/admin/sales/{id}/{action}", post(sales::change))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/startupz", get(probes::startupz))
        .route("/metrics", get(probes::metrics))
        .route("/status", get(probes::status))
        .route("/problems/{slug}", get(probes::problem))
        // Answered before it comes here; the route lets others know that it takes POST.
        .route("/v1/reservations", post(not_here))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_here)
        .with_state(Arc::clone(shared))
}

async fn nothing_here(request: axum::extract::Request) -> axum::response::Response {
    tell(request, Route::Other, |_| async { Err(Problem::plain(&NOT_FOUND)) }).await
}

async fn not_here(request: axum::extract::Request) -> axum::response::Response {
    tell(request, Route::Other, |_| async { Err(Problem::plain(&METHOD_NOT_ALLOWED)) }).await
}
