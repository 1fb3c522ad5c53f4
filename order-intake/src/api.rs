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
use hyper::service::Service;
use hyper::{Method, Request, Response};
use hyper_util::service::TowerToHyperService;

use crate::metrics::Route;
use crate::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem};
use crate::reserve;
use crate::shard::Shard;
use crate::shared::Shared;
use call::tell;

pub(crate) type Router = axum::Router;
pub(crate) type Body = Either<Full<Bytes>, axum::body::Body>;

/// Answers a request.
pub(crate) async fn answer(shard: &Rc<Shard>, router: &Router, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == "/v1/reservations" && request.method() == Method::POST {
        return reserve::post(shard, request).await.map(Either::Left);
    }
    let Ok(answer) = TowerToHyperService::new(router.clone()).call(request).await;
    answer.map(Either::Right)
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
        .route("/problems/{slug}", get(probes::problem))
        .route("/v1/reservations", get(not_here).put(not_here).delete(not_here).patch(not_here))
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
