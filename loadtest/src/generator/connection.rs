//! A connection that has one request under way at most.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, read};
use rustix::net::{SendFlags, send};
use socket2::{Domain, Protocol, Socket, Type};

use super::poller::Poller;
use super::response::{self, Found, Head};

/// Bytes asked of the system at once.
const READ_BYTES: usize = 16 << 10;

/// What a look at a connection came to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The answer is not whole.
    Waits,
    /// An answer; its bytes are in [`Connection::received`] until the next request.
    Answer(Head),
    /// It broke, or said something that is no answer.
    Broken,
}

/// A socket with what is to be sent and what has come.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// How much of it belongs to the answer that was handed out.
    used: usize,
}

impl Connection {
    /// Begins to connect. Writing to it before it is connected is fine. The poller tells of it under this number.
    ///
    /// # Errors
    /// If the system has no socket left, or knows that nobody is there.
    pub(crate) fn open(address: SocketAddr, poller: &Poller, number: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        poller.add(&socket, number)?;
        Ok(Self { socket: socket.into(), to_send: Vec::new(), sent: 0, received: Vec::new(), used: 0 })
    }

    /// The bytes of the answer that was handed out, and of nothing else.
    pub(crate) fn received(&self) -> &[u8] {
        self.received.get(..self.used).unwrap_or_default()
    }

    /// Where the next request is written.
    pub(crate) fn request(&mut self) -> &mut Vec<u8> {
        self.received.drain(..self.used);
        self.used = 0;
        self.to_send.clear();
        self.sent = 0;
        &mut self.to_send
    }

    /// Sends as much of the request as the system takes. `Broken` if it takes nothing any more.
    pub(crate) fn send(&mut self) -> Progress {
        while let Some(rest) = self.to_send.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match send(&self.socket, rest, SendFlags::NOSIGNAL) {
                Ok(0) => return Progress::Broken,
                Ok(written) => self.sent += written,
                // Not connected yet, or no room: the poll says when to go on.
                Err(Errno::AGAIN | Errno::NOTCONN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return Progress::Broken,
            }
        }
        Progress::Waits
    }

    /// Reads what there is. `asked` says whether an answer is due: what comes unasked is the end of the connection.
    pub(crate) fn receive(&mut self, asked: bool) -> Progress {
        loop {
            self.received.reserve(READ_BYTES);
            let room = self.received.capacity() - self.received.len();
            let (is_over, is_empty) = match read(&self.socket, spare_capacity(&mut self.received)) {
                Ok(0) => (true, true),
                Ok(read) if read == room => continue,
                Ok(_) => (false, false),
                Err(Errno::AGAIN) => (false, true),
                Err(Errno::INTR) => continue,
                Err(_) => return Progress::Broken,
            };
            if !asked {
                return if is_over || !self.received.is_empty() { Progress::Broken } else { Progress::Waits };
            }
            return match response::find(&self.received, is_over) {
                Found::Part if is_over => Progress::Broken,
                Found::Part if is_empty => Progress::Waits,
                // The poll tells when there is more. But the end may have come with the bytes, and that it told already.
                Found::Part => continue,
                Found::Garbage => Progress::Broken,
                Found::Whole(mut head, used) => {
                    // What follows an answer unasked for leaves nothing to rely on.
                    head.stays_open &= !is_over && used == self.received.len();
                    self.used = used;
                    Progress::Answer(head)
                }
            };
        }
    }
}
