//! PostgreSQL with the schema and the functions of `benches/peers/postgres`, with commits that wait for the disk.

mod cluster;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};

use self::cluster::SUPERUSER;
use super::check::Stored;
use super::course::{Peer, Setup};
use super::daemon::{Daemon, on_free_port};
use super::error::PeersError;
use super::till::{self, Till};
use super::told::{Feed, Told};
use super::work::{Answer, HOLD_TTL_MS, Outcome, Request, UNITS_PER_CUSTOMER_MAX, Work};

const SCHEMA: &str = include_str!("../../../benches/peers/postgres/schema.sql");
pub(super) const ROW_LOCK: &str = include_str!("../../../benches/peers/postgres/row_lock.sql");
pub(super) const OPTIMISTIC: &str = include_str!("../../../benches/peers/postgres/optimistic.sql");

const SKU: i32 = 1;
const RESERVE: &str = "SELECT told, deadline_ms, again FROM reserve($1, $2, $3, 1)";
const STORED: &str = "SELECT
    (SELECT count(*) FROM reservations),
    (SELECT count(*) FROM reservations WHERE outcome = 1),
    (SELECT available FROM stock),
    (SELECT count(*) FROM reservations WHERE expires_at > now()),
    (SELECT count(*) FROM customers WHERE units > $1)";

/// A running PostgreSQL with units on its shelf.
pub(super) struct Postgres {
    daemon: Daemon,
    address: SocketAddr,
}

impl Peer for Postgres {
    async fn start(setup: &Setup<'_>) -> Result<Self, PeersError> {
        let cluster = cluster::create(setup.directory).await?;
        let (daemon, address, client) = on_free_port(async |address| {
            let mut daemon = cluster.start(address, setup.connections)?;
            let client = daemon.ready(async || connect(address).await).await?;
            Ok((daemon, address, client))
        })
        .await?;
        let shelf = format!(
            "INSERT INTO stock (sku, available, units_per_customer_max, hold_ttl) \
             VALUES ({SKU}, {}, {UNITS_PER_CUSTOMER_MAX}, interval '{HOLD_TTL_MS} milliseconds')",
            setup.work.stock
        );
        for (what, statements) in
            [("the schema", SCHEMA), ("the function", &*setup.script), ("the shelf", &shelf)]
        {
            client.batch_execute(statements).await.map_err(|error| PeersError::Postgres(what, error))?;
        }
        Ok(Self { daemon, address })
    }

    async fn ask(&mut self, work: Work, feed: &Arc<Feed>, connections: u32) -> Result<Told, PeersError> {
        let mut tills = Vec::new();
        for _ in 0..connections {
            let teller = Teller::open(self.address).await;
            tills.push(teller.map_err(|error| PeersError::Postgres("connecting", error))?);
        }
        till::ask(tills, work, feed).await
    }

    async fn stored(&mut self) -> Result<Stored, PeersError> {
        let refused = |error| PeersError::Postgres("counting", error);
        let client = connect(self.address).await.map_err(refused)?;
        let limit = i32::try_from(UNITS_PER_CUSTOMER_MAX).unwrap_or(i32::MAX);
        let row = client.query_one(STORED, &[&limit]).await.map_err(refused)?;
        let count = |column| row.try_get(column).map(i64::unsigned_abs).map_err(refused);
        Ok(Stored {
            decided: Some(count(0)?),
            held: count(1)?,
            left: count(2)?,
            deadlines: Some(count(3)?),
            above_limit: Some(count(4)?),
        })
    }

    async fn stop(self) -> Result<(), PeersError> {
        self.daemon.stop().await
    }
}

async fn connect(address: SocketAddr) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(address.ip().to_string()).port(address.port()).user(SUPERUSER).dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    // It ends with the client; what breaks it is told to whoever asks.
    tokio::spawn(connection);
    Ok(client)
}

/// 16 bytes as a `uuid`.
#[derive(Debug)]
struct Id([u8; 16]);

impl ToSql for Id {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(it: &Type) -> bool {
        *it == Type::UUID
    }

    to_sql_checked!();
}

struct Teller {
    client: Client,
    reserve: Statement,
}

impl Teller {
    async fn open(address: SocketAddr) -> Result<Self, tokio_postgres::Error> {
        let client = connect(address).await?;
        let reserve = client.prepare(RESERVE).await?;
        Ok(Self { client, reserve })
    }

    async fn call(&self, request: &Request) -> Result<(i16, i64, bool), tokio_postgres::Error> {
        let customer = i64::try_from(request.customer).unwrap_or(i64::MAX);
        let row = self.client.query_one(&self.reserve, &[&Id(request.id), &SKU, &customer]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    }
}

impl Till for Teller {
    async fn reserve(&mut self, request: &Request) -> Result<Answer, String> {
        let (code, deadline, again) = self.call(request).await.map_err(|error| {
            error.as_db_error().map_or_else(|| error.to_string(), |it| it.message().to_owned())
        })?;
        let outcome = Outcome::from_code(code.into()).ok_or_else(|| format!("an outcome of {code}"))?;
        Ok(Answer { outcome, mark: deadline.unsigned_abs(), again })
    }
}
