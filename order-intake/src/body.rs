//! Reading the body of a request, bounded in bytes and time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::problem::{BODY_TOO_LARGE, Problem, REQUEST_TIMEOUT};

/// Bytes beyond the limit that are read and thrown away, so that a client that sends first and reads then hears why it
/// is refused.
const THROWN_AWAY_MAX: usize = 1 << 20;

/// Reads a body whole.
pub(crate) async fn read<B>(body: B, bytes_max: usize, patience: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut reading = pin!(collect(body, bytes_max));
    // Nearly always the body came along with the head, and no clock is needed.
    let first = poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => Poll::Ready(None),
    });
    match first.await {
        Some(read) => read,
        None => match tokio::time::timeout(patience, reading).await {
            Ok(read) => read,
            Err(_) => Err(Problem::plain(&REQUEST_TIMEOUT)),
        },
    }
}

async fn collect<B>(mut body: B, bytes_max: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut read = 0usize;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(frame) = frame else {
            return Err(Problem::at("", "The body ended early."));
        };
        let Ok(data) = frame.into_data() else { continue };
        read = read.saturating_add(data.len());
        if read > bytes_max {
            if read - bytes_max > THROWN_AWAY_MAX {
                return Err(Problem::plain(&BODY_TOO_LARGE));
            }
        } else if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if read > bytes_max {
        return Err(Problem::plain(&BODY_TOO_LARGE));
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(read);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}
