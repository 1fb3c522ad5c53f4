//! Frames over a TCP connection: the length of what follows in four bytes, and what follows.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Before the other has shown who it is, no frame is longer.
const STRANGER_BYTES_MAX: usize = 1 << 10;
/// No frame is longer.
const BYTES_MAX: usize = 16 << 20;
/// Whoever takes nothing for so long is not there.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 << 10;
const LENGTH_BYTES: usize = 4;
/// Things of which there are many go in parcels of about so many bytes.
const PARCEL_BYTES: usize = 256 << 10;

/// Why the other cannot be heard or told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    #[error("what came cannot be read")]
    Garbage(#[from] postcard::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Broken(error),
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// What has come and is not a whole frame yet.
    inbox: Vec<u8>,
    bytes_max: usize,
}

impl Wire {
    /// One end of a connection with a stranger, who may send short frames only.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(WRITE_WITHIN))?;
        Ok(Self { stream, inbox: Vec::new(), bytes_max: STRANGER_BYTES_MAX })
    }

    /// The other has shown who it is.
    pub(crate) const fn trust(&mut self) {
        self.bytes_max = BYTES_MAX;
    }

    pub(crate) fn send<T: Serialize>(&mut self, message: &T) -> Result<(), WireError> {
        let mut frame = postcard::to_extend(message, vec![0; LENGTH_BYTES])?;
        let length = frame.len() - LENGTH_BYTES;
        let told = u32::try_from(length).ok().filter(|_| length <= BYTES_MAX);
        let told = told.ok_or(WireError::TooLong(length))?;
        frame[..LENGTH_BYTES].copy_from_slice(&told.to_le_bytes());
        Ok(self.stream.write_all(&frame)?)
    }

    /// The next message, if one comes within this time.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self, within: Duration) -> Result<Option<T>, WireError> {
        let frame = self.frame(within)?;
        Ok(frame.map(|frame| postcard::from_bytes(&frame)).transpose()?)
    }

    /// The next frame as it came.
    pub(crate) fn frame(&mut self, within: Duration) -> Result<Option<Vec<u8>>, WireError> {
        let until = Instant::now() + within;
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            self.read()?;
        }
    }

    fn read(&mut self) -> Result<(), WireError> {
        let before = self.inbox.len();
        self.inbox.resize(before + READ_BYTES, 0);
        let read = self.stream.read(&mut self.inbox[before..]);
        self.inbox.truncate(before + read.as_ref().map_or(0, |count| *count));
        match read {
            Ok(0) => Err(WireError::Closed),
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(error.into()),
            },
        }
    }

    /// The first whole frame of what has come.
    fn take(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let Some(length) = self.inbox.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        // On a machine where it does not fit it is too long in any case.
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.bytes_max {
            return Err(WireError::TooLong(length));
        }
        let end = LENGTH_BYTES + length;
        if self.inbox.len() < end {
            return Ok(None);
        }
        let frame = self.inbox[LENGTH_BYTES..end].to_vec();
        self.inbox.drain(..end);
        Ok(Some(frame))
    }
}

/// Things of one kind, packed into parcels that go into a frame each, however long a single one is.
pub(crate) fn parcels<'a, T: Serialize + 'a>(
    things: impl IntoIterator<Item = &'a T>,
    mut send: impl FnMut(Vec<u8>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut parcel = Vec::new();
    for thing in things {
        parcel = postcard::to_extend(thing, parcel)?;
        if parcel.len() >= PARCEL_BYTES {
            send(std::mem::take(&mut parcel))?;
        }
    }
    if parcel.is_empty() { Ok(()) } else { send(parcel) }
}

/// Adds what is in a parcel.
pub(crate) fn unpack<T: DeserializeOwned>(mut parcel: &[u8], things: &mut Vec<T>) -> Result<(), WireError> {
    while !parcel.is_empty() {
        let (thing, rest) = postcard::take_from_bytes(parcel)?;
        things.push(thing);
        parcel = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
