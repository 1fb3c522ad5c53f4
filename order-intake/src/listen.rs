//! Listening sockets: one for each shard on one port, so that the kernel spreads connections and nobody hands them over.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::IntakeError;

/// Connections that may wait to be accepted, per shard.
const BACKLOG: i32 = 4_096;

/// Whether an intake could listen to this address now, so that nothing need be begun by one that could not.
///
/// # Errors
/// [`IntakeError::Listen`] if it could not.
pub fn can_listen(address: SocketAddr) -> Result<(), IntakeError> {
    socket(address).map(drop).map_err(|source| IntakeError::Listen { address, source })
}

/// Binds `count` sockets to one address. Returns the address with the port that was chosen.
pub(crate) fn bind(address: SocketAddr, count: usize) -> Result<(SocketAddr, Vec<TcpListener>), IntakeError> {
    let failed = |source| IntakeError::Listen { address, source };
    // Sockets that share a port would share it with another server as well, and take half of its connections.
    drop(socket(address).map_err(failed)?);
    let first = listener(address).map_err(failed)?;
    let chosen = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(listener(chosen).map_err(failed)?);
    }
    Ok((chosen, listeners))
}

/// A socket that has the address to itself.
fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket that shares the address.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Inherited by what is accepted: an answer is one write and must not wait for more.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
