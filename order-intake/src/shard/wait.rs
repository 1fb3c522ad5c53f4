//! Waiting for a reply.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::CURRENT;
use crate::answer::{NotWritten, Reply};
use crate::problem::{DISK_FULL, Problem, UNAVAILABLE};
use crate::waiters::WaiterKey;

/// Waits for a reply. Dropped, it gives its place away; what was sent is decided all the same.
pub(crate) struct Wait(pub(super) Option<WaiterKey>);

impl Future for Wait {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let Some(key) = self.0 else { return Poll::Ready(Reply::Unknown) };
        let polled = CURRENT.with_borrow(|current| {
            current.as_ref().and_then(|shard| shard.waiters.borrow_mut().poll(key, context.waker()))
        });
        match polled {
            Some(reply) => {
                self.0 = None;
                Poll::Ready(reply)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(key) = self.0.take() else { return };
        CURRENT.with_borrow(|current| {
            if let Some(shard) = current {
                shard.waiters.borrow_mut().leave(key);
            }
        });
    }
}

/// What is told about a command that was not written.
pub(crate) fn not_written(why: NotWritten) -> Problem {
    match why {
        NotWritten::DiskFull => Problem::plain(&DISK_FULL),
        NotWritten::Unavailable => Problem::new(&UNAVAILABLE, "The log takes no commands."),
    }
}
