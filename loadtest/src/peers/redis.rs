//! Redis with the script of `benches/peers/redis`: an append-only file that is synced before every answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Cmd, Value, cmd, parse_redis_value};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::check::Stored;
use super::course::{Peer, Setup};
use super::daemon::{Daemon, Kind, on_free_port};
use super::error::PeersError;
use super::till::{self, Till};
use super::told::{Feed, Told};
use super::work::{Answer, HOLD_TTL_MS, Outcome, Request, UNITS_PER_CUSTOMER_MAX, Work};

pub(super) const RESERVE: &str = include_str!("../../../benches/peers/redis/reserve.lua");

const KIND: Kind = Kind { name: "redis-server", end: Signal::TERM, abort: Signal::KILL };
const SHELF: &str = "shelf";
/// In the order in which the script wants them.
const KEYS: [&str; 4] = [SHELF, "decided", "customers", "deadlines"];
/// No answer is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const ABOVE: &str = "local above = 0; for _, units in ipairs(redis.call('HVALS', KEYS[1])) do \
    if tonumber(units) > tonumber(ARGV[1]) then above = above + 1 end end; return above";

/// A running Redis with units on its shelf.
pub(super) struct Redis {
    daemon: Daemon,
    address: SocketAddr,
    /// What the script is called by.
    sha: String,
}

impl Peer for Redis {
    async fn start(setup: &Setup<'_>) -> Result<Self, PeersError> {
        let (daemon, address, mut connection) = on_free_port(async |address| {
            let mut daemon = Daemon::start(KIND, command(setup, address), &setup.directory.join("talk"))?;
            let connection = daemon.ready(async || Connection::open(address).await).await?;
            Ok((daemon, address, connection))
        })
        .await?;
        let mut shelf = cmd("HSET");
        shelf.arg(SHELF).arg("available").arg(setup.work.stock);
        shelf.arg("units_per_customer_max").arg(UNITS_PER_CUSTOMER_MAX).arg("hold_ttl_ms").arg(HOLD_TTL_MS);
        connection.number("the shelf", &shelf).await?;
        let what = "the script";
        let mut load = cmd("SCRIPT");
        let sha = match connection.ask(load.arg("LOAD").arg(&*setup.script)).await {
            Ok(Value::BulkString(sha)) => String::from_utf8_lossy(&sha).into_owned(),
            other => return Err(PeersError::Redis { what, answer: format!("{other:?}") }),
        };
        Ok(Self { daemon, address, sha })
    }

    async fn ask(&mut self, work: Work, feed: &Arc<Feed>, connections: u32) -> Result<Told, PeersError> {
        let mut tills = Vec::new();
        for _ in 0..connections {
            let connection = Connection::open(self.address).await;
            let connection =
                connection.map_err(|source| PeersError::Prepare("connecting to Redis", source))?;
            tills.push(Teller { connection, sha: self.sha.clone() });
        }
        till::ask(tills, work, feed).await
    }

    async fn stored(&mut self) -> Result<Stored, PeersError> {
        let connection = Connection::open(self.address).await;
        let mut connection =
            connection.map_err(|source| PeersError::Prepare("connecting to Redis", source))?;
        let [_, decided, customers, deadlines] = KEYS;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let mut count = async |what, mut command: Cmd, arguments: &[&str]| {
            connection.number(what, command.arg(arguments)).await
        };
        let limit = UNITS_PER_CUSTOMER_MAX.to_string();
        Ok(Stored {
            decided: Some(count("the ids", cmd("HLEN"), &[decided]).await?),
            held: count("the holds", cmd("ZCARD"), &[deadlines]).await?,
            left: count("the shelf", cmd("HGET"), &[SHELF, "available"]).await?,
            deadlines: Some(
                count("the deadlines", cmd("ZCOUNT"), &[deadlines, &now_ms.to_string(), "+inf"]).await?,
            ),
            above_limit: Some(count("the customers", cmd("EVAL"), &[ABOVE, "1", customers, &limit]).await?),
        })
    }

    async fn stop(self) -> Result<(), PeersError> {
        self.daemon.stop().await
    }
}

fn command(setup: &Setup<'_>, address: SocketAddr) -> Command {
    let mut command = Command::new("redis-server");
    command.arg("--dir").arg(setup.directory).arg("--port").arg(address.port().to_string());
    command.arg("--bind").arg(address.ip().to_string()).arg("--maxclients").arg("4096");
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--loglevel", "warning"]);
    // Writing the file anew would take half of the machine in the middle of a run.
    command.args(["--auto-aof-rewrite-percentage", "0"]);
    command
}

/// A connection without anything between us and the socket: on this machine the client's time is the server's.
struct Connection {
    stream: TcpStream,
    to_send: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, to_send: Vec::new(), received: Vec::new() })
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Value, String> {
        self.to_send.clear();
        command.write_packed_command(&mut self.to_send);
        self.stream.write_all(&self.to_send).await.map_err(|error| error.to_string())?;
        self.received.clear();
        loop {
            let read = self.stream.read_buf(&mut self.received).await.map_err(|error| error.to_string())?;
            match parse_redis_value(&self.received) {
                Ok(Value::ServerError(error)) => return Err(error.to_string()),
                Ok(value) => return Ok(value),
                // Most likely only a part of it has come.
                Err(_) if read > 0 && self.received.len() < ANSWER_BYTES_MAX => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn number(&mut self, what: &'static str, command: &Cmd) -> Result<u64, PeersError> {
        let refused = |answer| PeersError::Redis { what, answer };
        let value = self.ask(command).await.map_err(refused)?;
        redis::from_redis_value(value).map_err(|error| refused(error.to_string()))
    }
}

struct Teller {
    connection: Connection,
    sha: String,
}

impl Till for Teller {
    async fn reserve(&mut self, request: &Request) -> Result<Answer, String> {
        let mut call = cmd("EVALSHA");
        call.arg(&self.sha).arg(KEYS.len()).arg(&KEYS).arg(&request.id).arg(request.customer).arg(1);
        let answer = self.connection.ask(&call).await?;
        let odd = || format!("{answer:?}");
        let Value::Array(parts) = &answer else { return Err(odd()) };
        let &[Value::Int(code), Value::Int(deadline), Value::Int(again)] = &parts[..] else {
            return Err(odd());
        };
        let outcome = Outcome::from_code(code).ok_or_else(odd)?;
        Ok(Answer { outcome, mark: deadline.unsigned_abs(), again: again == 1 })
    }
}
