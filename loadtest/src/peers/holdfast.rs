//! Holdfast itself over HTTP, one POST for each reservation.
//!
//! Everything is as it is by default, with these exceptions. The sold-out gate is off: it refuses without deciding, and the
//! work is to decide, remember and make durable every request. One thread serves HTTP, and one sends the requests. And
//! there is room for everybody's token, all of which the server has seen before the run, as if everybody had looked at
//! the shelf before the sale: the peers do not ask who somebody is at all.

mod buyer;
mod wording;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio::task::spawn_blocking;

use self::buyer::{Buyer, What};
use self::wording::Wording;
use super::check::Stored;
use super::course::{Peer, Setup};
use super::error::PeersError;
use super::told::{Feed, Told};
use super::work::{HOLD_TTL_MS, UNITS_PER_CUSTOMER_MAX, Work};
use crate::books::Stopwatch;
use crate::generator::{Worker, WorkerConfig};
use crate::run::RunError;
use crate::run::organiser::{Organiser, Terms};
use crate::run::target::Target;
use crate::server::{ANY_PORT, Recipe, Server};
use crate::tokens::Issuer;

const SKU: &str = "A1";
/// There is room for the tokens of more people than any run has. Each thread of the server remembers tokens for itself, so
/// with one of them whoever was seen once is known.
const SETTINGS: &str = "[intake]\ngate = false\nshards = 1\n[intake.auth]\ntokens_remembered_max = 1048576\n";

/// A running Holdfast with units on its shelf.
pub(super) struct Holdfast {
    server: Server,
    target: Target,
    admin: String,
    wording: Arc<Wording>,
}

impl Peer for Holdfast {
    async fn start(setup: &Setup<'_>) -> Result<Self, PeersError> {
        let settings = setup.directory.join("holdfast.toml");
        std::fs::write(&settings, SETTINGS)
            .map_err(|source| PeersError::Prepare("writing settings", source))?;
        let data = setup.directory.join("data");
        let talk = setup.directory.join("talk");
        let recipe = Recipe {
            program: setup.server.to_owned(),
            data: data.clone(),
            talk,
            kafka: None,
            sku: SKU.to_owned(),
            listen: ANY_PORT,
            partitions: None,
            is_apart: false,
        };
        let server = recipe.start_with(&settings).await?;
        let (work, address) = (setup.work, server.address());
        let issuer = Issuer::open(&data)?;
        let admin = issuer.bearer("organiser", "admin")?;
        let wording = spawn_blocking(move || Wording::new(address, SKU, work, &issuer));
        let wording = Arc::new(wording.await.map_err(|_| PeersError::Panicked)??);
        let target = Target::parse(&address.to_string())?;
        let holdfast = Self { server, target, admin, wording };
        let terms = Terms { hold_ttl_ms: HOLD_TTL_MS, units_per_customer_max: UNITS_PER_CUSTOMER_MAX };
        holdfast.organise(move |it| it.open_sale(&terms, work.stock)).await?;
        let everybody = (0..work.customers()).collect();
        let seen =
            holdfast.load(What::Look, work, &Arc::new(Feed::these(everybody)), setup.connections).await?;
        match seen.failure {
            Some(answer) => Err(PeersError::Looking(answer)),
            None => Ok(holdfast),
        }
    }

    async fn ask(&mut self, work: Work, feed: &Arc<Feed>, connections: u32) -> Result<Told, PeersError> {
        self.load(What::Reserve, work, feed, connections).await
    }

    async fn stored(&mut self) -> Result<Stored, PeersError> {
        let counted = self.organise(|it| it.availability()).await?;
        let counts = counted.values().next().map(|it| (it.held, it.available)).unwrap_or_default();
        Ok(Stored { held: counts.0, left: counts.1, ..Stored::default() })
    }

    async fn stop(mut self) -> Result<(), PeersError> {
        if self.server.end().await? {
            return Ok(());
        }
        let what = "did not end in good order".to_owned();
        Err(PeersError::Failed { program: "holdfast", what, said: String::new() })
    }
}

impl Holdfast {
    /// Somebody with the scope `admin` does something, on a thread that may wait.
    async fn organise<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Organiser<'_>) -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, PeersError> {
        let (target, admin) = (self.target.clone(), self.admin.clone());
        let done = spawn_blocking(move || {
            let skus = [SKU.to_owned()];
            task(&Organiser {
                target: &target,
                admin: &admin,
                skus: &skus,
                run: 0,
                watch: Stopwatch::start(),
                stop: &AtomicBool::new(false),
            })
        });
        Ok(done.await.map_err(|_| PeersError::Panicked)??)
    }

    /// One thread asks for all that the feed hands out.
    async fn load(
        &self,
        what: What,
        work: Work,
        feed: &Arc<Feed>,
        connections: u32,
    ) -> Result<Told, PeersError> {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let buyer = Buyer::new(what, work, Arc::clone(feed), Arc::clone(&self.wording));
        let config = WorkerConfig {
            address: self.server.address(),
            connections,
            waiting_max: connections,
            is_closed: true,
        };
        let feed = Arc::clone(feed);
        let asked = spawn_blocking(move || {
            feed.start();
            let began = Instant::now();
            let (buyer, _) = Worker::new(buyer, config, Stopwatch::start())?.run()?;
            Ok(Told { took: began.elapsed(), ..buyer.told })
        });
        let asked = asked.await.map_err(|_| PeersError::Panicked)?;
        asked.map_err(|source| PeersError::Prepare("asking over many connections", source))
    }
}
