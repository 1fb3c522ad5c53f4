//! Reading the body of a request, bounded in bytes and time, and what becomes of a body that nobody reads.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use tokio::sync::oneshot;

use crate::problem::{BODY_TOO_LARGE, Problem, REQUEST_TIMEOUT};

/// Bytes of a body nobody wants that are read and thrown away, so that its connection can be used again.
const THROWN_AWAY_MAX: usize = 64 << 10;
/// The answer waits no longer for them.
const THROWN_AWAY_WITHIN: Duration = Duration::from_secs(1);

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request may come.
    KeepAlive,
    /// A part of the request was not read, so it cannot be told where the next one begins.
    Close,
}

/// What can be expected of a client whose body was not read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It sends the rest without being told to.
    Comes,
    /// It waits to be told to send the body (`Expect`) and is not told, or it took too long already.
    Stays,
}

impl Rest {
    pub(crate) fn of(awaits: Option<&HeaderValue>, answered: StatusCode) -> Self {
        if awaits.is_some() || answered == StatusCode::REQUEST_TIMEOUT { Self::Stays } else { Self::Comes }
    }
}

/// The body of a request as it comes in.
pub(crate) struct Inflow {
    body: Incoming,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ahead,
    Reached,
    /// It will never be reached.
    Lost,
}

impl Inflow {
    pub(crate) const fn new(body: Incoming) -> Self {
        Self { body, end: End::Ahead }
    }

    /// Makes an end of a body that was not read whole: a short one is read, a long one is left.
    pub(crate) async fn settle(mut self, rest: Rest) -> After {
        if self.is_end_stream() {
            return After::KeepAlive;
        }
        let is_long = self.size_hint().lower() > THROWN_AWAY_MAX as u64;
        if self.end == End::Lost || rest == Rest::Stays || is_long {
            return After::Close;
        }
        match within(THROWN_AWAY_WITHIN, throw_away(&mut self)).await {
            Some(After::KeepAlive) => After::KeepAlive,
            _ => After::Close,
        }
    }
}

impl Body for Inflow {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(None) if self.end == End::Ahead => self.end = End::Reached,
            Poll::Ready(Some(Err(_))) => self.end = End::Lost,
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.end == End::Reached || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn throw_away(body: &mut Inflow) -> After {
    let mut read = 0;
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return After::Close,
            None => break,
        }
        if read > THROWN_AWAY_MAX {
            return After::Close;
        }
    }
    After::KeepAlive
}

/// A body that comes back from whoever got it, unless it was read whole.
pub(crate) struct Loan {
    body: Option<Inflow>,
    back: Option<oneshot::Sender<Inflow>>,
}

impl Loan {
    /// A loan, and where the body comes back.
    pub(crate) fn of(body: Inflow) -> (Self, oneshot::Receiver<Inflow>) {
        let (back, returned) = oneshot::channel();
        (Self { body: Some(body), back: Some(back) }, returned)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Whoever lent it may be gone together with the connection.
            back.send(body).ok();
        }
    }
}

impl Body for Loan {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// Reads a body whole.
pub(crate) async fn read<B>(body: B, bytes_max: usize, patience: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::plain(&BODY_TOO_LARGE));
    }
    let read = within(patience, collect(body, bytes_max)).await;
    read.unwrap_or_else(|| Err(Problem::plain(&REQUEST_TIMEOUT)))
}

/// What comes out of `work`, unless it takes too long.
async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    // Nearly always the body came along with the head, and no clock is needed.
    let first = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    });
    match first.await {
        Some(done) => Some(done),
        None => tokio::time::timeout(patience, work).await.ok(),
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
            return Err(Problem::plain(&BODY_TOO_LARGE));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(read);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}
