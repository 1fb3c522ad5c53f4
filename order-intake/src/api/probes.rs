//! Probes, metrics, and the pages that problem types point to.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use holdfast_contracts::PartitionId;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::call::{InPath, json, tell};
use crate::health::Condition;
use crate::json::Write;
use crate::metrics::{self, Route};
use crate::operators::PROMETHEUS;
use crate::problem::{ALL, NOT_FOUND, Problem};
use crate::respond::{About, Reply, mark};
use crate::shared::Shared;

/// The process runs.
pub(super) async fn livez(request: Request) -> Response {
    tell(
        request,
        Route::Other,
        |call| async move { Ok(json(&call.about, 200, |out| out.text("{\"ok\":true}"))) },
    )
    .await
}

/// Requests are answered.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tell(request, Route::Other, |call| async move {
        let health = &shared.health;
        let is_ready = health.is_ready() && shared.watched.as_ref().is_none_or(|it| it.is_ready());
        let stopped = shared.sequencer.statuses().iter().filter(|status| !status.is_live()).count();
        Ok(json(&call.about, if is_ready { 200 } else { 503 }, |out| {
            out.text(if is_ready { "{\"ready\":true" } else { "{\"ready\":false" });
            out.text(",\"started\":");
            out.text(if health.is_started() { "true" } else { "false" });
            out.text(",\"draining\":");
            out.text(if health.is_draining() { "true" } else { "false" });
            out.text(",\"log\":\"");
            out.text(match health.log() {
                Condition::Starting => "good",
                other => other.name(),
            });
            out.text("\",\"partitions_not_live\":");
            out.number(stopped);
            out.text(",\"in_the_way\":[");
            let all = (0..shared.partitions).map(|it| (it, health.partition(PartitionId(it))));
            for (at, (partition, condition)) in all.filter(|(_, it)| *it != Condition::Good).enumerate() {
                out.text(if at == 0 { "{\"partition\":" } else { ",{\"partition\":" });
                out.number(partition);
                out.text(",\"is\":\"");
                out.text(condition.name());
                out.text("\"}");
            }
            out.text("]}");
        }))
    })
    .await
}

/// How far the partitions are with replaying.
pub(super) async fn startupz(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tell(request, Route::Other, |call| async move {
        let is_started = shared.health.is_started();
        let statuses = shared.sequencer.statuses();
        Ok(json(&call.about, if is_started { 200 } else { 503 }, |out| {
            out.text(if is_started {
                "{\"started\":true,\"partitions\":["
            } else {
                "{\"started\":false,\"partitions\":["
            });
            for (at, status) in statuses.iter().enumerate() {
                out.text(if at == 0 { "{\"partition\":" } else { ",{\"partition\":" });
                out.number(status.partition.0);
                out.text(",\"state\":\"");
                out.text(status.state.name());
                out.text("\",\"restored\":");
                out.number(status.next_offset.0);
                out.text(",\"target\":");
                out.number(status.target.0);
                out.text("}");
            }
            out.text("]}");
        }))
    })
    .await
}

/// Figures for Prometheus.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tell(request, Route::Other, |call| async move {
        let mut text = metrics::text(&shared.metrics, &shared.sequencer.statuses(), shared.health.is_ready());
        if let Some(watched) = &shared.watched {
            text.push_str(&watched.metrics());
        }
        Ok(page(&call.about, PROMETHEUS, text))
    })
    .await
}

/// How the process stands, as far as there is more to say than the probes do.
pub(super) async fn status(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tell(request, Route::Other, |call| async move {
        let watched = shared.watched.as_ref().ok_or_else(|| Problem::plain(&NOT_FOUND))?;
        let text = watched.status();
        Ok(json(&call.about, 200, |out| out.text(&text)))
    })
    .await
}

/// What a problem type means.
pub(super) async fn problem(InPath(slug): InPath<String>, request: Request) -> Response {
    tell(request, Route::Other, |call| async move {
        let kind = ALL.iter().find(|kind| kind.slug == slug).ok_or_else(|| Problem::plain(&NOT_FOUND))?;
        let text = format!("# {}\n\n{}\n\nStatus {}.\n", kind.code, kind.title, kind.status);
        Ok(page(&call.about, "text/markdown; charset=utf-8", text))
    })
    .await
}

fn page(about: &About, kind: &'static str, text: String) -> Reply {
    let mut reply = Reply::new(Full::new(Bytes::from(text)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    mark(&mut reply, about);
    reply
}
