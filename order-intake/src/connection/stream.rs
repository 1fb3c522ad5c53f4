//! The stream of a connection: it notices when a request begins, and it ends so that a client that still sends can read
//! its answer.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::{Line, Phase};

/// Bytes that are thrown away after the last answer. A client that sends more of a refused request than this finds its
/// connection reset.
const THROWN_AWAY_MAX: u64 = 32 << 20;
const CHUNK_BYTES: usize = 16 << 10;

pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    line: Rc<Line>,
    farewell: Option<Farewell>,
}

/// The client was told that nothing more is sent.
struct Farewell {
    /// It may not have read the reason yet.
    is_owed: bool,
    thrown_away: u64,
}

impl Stream {
    pub(super) fn new(stream: TcpStream, line: Rc<Line>) -> Self {
        Self { io: TokioIo::new(stream), line, farewell: None }
    }

    /// Throws away what comes until the client closes its side: a connection that is closed with bytes unread is reset,
    /// and the client may lose the answer. How long that lasts is bounded by whoever cuts off connections.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(farewell) = &mut self.farewell else { return Poll::Ready(()) };
        loop {
            // When the server ends, nobody is waited for who has read all there is.
            if self.line.draining.get() && !farewell.is_owed {
                return Poll::Ready(());
            }
            let mut chunk = [MaybeUninit::uninit(); CHUNK_BYTES];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            let read = ready!(Pin::new(self.io.inner_mut()).poll_read(context, &mut chunk));
            farewell.thrown_away += chunk.filled().len() as u64;
            if read.is_err() || chunk.filled().is_empty() || farewell.thrown_away > THROWN_AWAY_MAX {
                return Poll::Ready(());
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() && self.line.phase.get() == Phase::Idle {
            self.line.enter(Phase::Head);
        }
        read
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
            // An answer to an unread body, or to the head of a request that cannot be understood.
            let is_owed = matches!(self.line.phase.get(), Phase::Closing | Phase::Head);
            self.line.enter(Phase::Closing);
            self.farewell = Some(Farewell { is_owed, thrown_away: 0 });
        }
        self.poll_farewell(context).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }
}
