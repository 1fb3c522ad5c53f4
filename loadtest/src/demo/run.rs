//! The course of a sale.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::audit::Audit;
use super::buyer::Buyer;
use super::config::{ConfigError, DemoConfig};
use super::organiser::{Organiser, SKU, UNITS_PER_CUSTOMER_MAX};
use super::plan::Plan;
use super::progress::{self, Progress, Standing};
use super::report::{Kill, Report, Times};
use super::shop::{Person, Shop};
use crate::books::{Alarm, Books, ClockWatch, Customer, Moment, Sku, Stopwatch};
use crate::checks::{AWAY_MAX, CLOCK_MOVED_MS_MAX, Counted, History, SaleFacts};
use crate::http::{Client, Target};
use crate::server::{ANY_PORT, Recipe, Server, ServerError, kill, tail};
use crate::tokens::{Issuer, TokenError};

/// How often the sale is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The server's standard error goes here, in its data directory.
const TALK: &str = "server.stderr";
const TALK_LINES_MAX: usize = 20;

/// Why no verdict could be reached.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory is in use.
    #[error("{} is not empty; the demonstration needs a directory of its own", .0.display())]
    NotEmpty(PathBuf),
    /// Files or threads cannot be had.
    #[error("preparing the demonstration")]
    Prepare(#[source] io::Error),
    /// The server failed. What it said stands in its data directory, which is kept.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Buyers cannot be given tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The sale could not be set up.
    #[error("{what} was answered {answer}")]
    Organising {
        /// The path that was asked.
        what: String,
        /// The answer.
        answer: String,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A task panicked; the message went to standard error.
    #[error("the demonstration itself failed")]
    Failed,
}

/// Holds a whole sale and judges it. Talks on standard error; the report is for the caller to show. Blocks, on a thread
/// of its own, so that it may be called from anywhere.
///
/// # Errors
/// [`DemoError`] when there can be no verdict. A bad verdict is no error.
pub fn run(config: &DemoConfig) -> Result<Report, DemoError> {
    config.validate()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DemoError::Prepare)?;
    let interruptible = async {
        tokio::select! {
            report = sale(config) => report,
            _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
        }
    };
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(interruptible)).join())
        .unwrap_or(Err(DemoError::Failed))
}

async fn sale(config: &DemoConfig) -> Result<Report, DemoError> {
    let home = Home::open(config.data.as_deref())?;
    let held = async { Sale::prepare(config, home.path()).await?.hold().await };
    let result = held.await;
    if !result.as_ref().is_ok_and(Report::is_exact) {
        home.keep();
    }
    result
}

/// The data directory.
struct Home {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Home {
    fn open(wanted: Option<&Path>) -> Result<Self, DemoError> {
        let Some(path) = wanted else {
            let temporary =
                tempfile::Builder::new().prefix("holdfast-demo-").tempdir().map_err(DemoError::Prepare)?;
            return Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        std::fs::create_dir_all(path).map_err(DemoError::Prepare)?;
        if std::fs::read_dir(path).map_err(DemoError::Prepare)?.next().is_some() {
            return Err(DemoError::NotEmpty(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), temporary: None })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// For whoever wants to know what went wrong.
    fn keep(mut self) {
        let talk = self.path.join(TALK);
        let lines = tail(&talk, TALK_LINES_MAX).join("\n");
        progress::say(&format!("the server's data stay in {}", self.path.display()));
        progress::say(&format!("the last it said, in {}:\n{lines}", talk.display()));
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
    }
}

/// A sale with its server.
struct Sale<'a> {
    config: &'a DemoConfig,
    recipe: Recipe,
    server: Server,
    target: watch::Sender<Target>,
    over: watch::Sender<bool>,
    shop: Arc<Shop>,
    people: Arc<Vec<Person>>,
    admin: String,
    watch: Stopwatch,
    clocks: ClockWatch,
    progress: Progress,
    kills: Vec<Kill>,
}

impl<'a> Sale<'a> {
    async fn prepare(config: &'a DemoConfig, data: &Path) -> Result<Self, DemoError> {
        let progress = Progress::new(u64::from(config.units));
        let (watch, clocks) = (Stopwatch::start(), ClockWatch::start());
        let recipe = Recipe {
            program: config.server.clone(),
            data: data.to_owned(),
            talk: data.join(TALK),
            kafka: config.kafka.clone(),
            sku: SKU.to_owned(),
            listen: ANY_PORT,
            partitions: None,
            is_apart: false,
        };
        progress.say(&format!("starting {} on {}", recipe.program.display(), data.display()));
        let server = recipe.start().await?;
        let (target, seen) = watch::channel(Target { address: Some(server.address()), life: 0 });
        let (over, is_over) = watch::channel(false);
        let issuer = Issuer::open(&server.keys(&recipe))?;
        let person = |number| {
            let token = issuer.bearer(&format!("buyer-{number}"), "")?;
            Ok::<_, TokenError>(Person { customer: Customer(number), token })
        };
        progress.say(&format!("{} buyers get their tokens", config.buyers));
        let people = (0..config.buyers).map(person).collect::<Result<Vec<_>, _>>()?;
        let connections = usize::try_from(config.connections).unwrap_or(usize::MAX);
        let shop = Shop {
            client: Client::new(seen, watch, connections),
            books: Books::default(),
            over: is_over,
            sku: SKU.to_owned(),
            seed: config.seed,
            units_per_customer_max: UNITS_PER_CUSTOMER_MAX,
            hold_ttl: config.hold_ttl,
        };
        let admin = issuer.bearer("organiser", "admin")?;
        let (shop, people) = (Arc::new(shop), Arc::new(people));
        Ok(Self {
            config,
            recipe,
            server,
            target,
            over,
            shop,
            people,
            admin,
            watch,
            clocks,
            progress,
            kills: vec![],
        })
    }

    async fn hold(mut self) -> Result<Report, DemoError> {
        self.organiser().open_sale(self.config).await?;
        let opened = self.watch.now();
        self.progress.say("the sale is open");
        let shot = self.load();
        let buyers = self.let_them_in();
        self.watch_over(buyers, opened, shot).await?;
        let sold = self.watch.now();
        self.progress.finish();

        let counts = self.organiser().availability().await?;
        let ended = self.watch.now();
        self.audit(ended).await?;
        let counted = Counted {
            available: counts.available,
            held: counts.held,
            committed: counts.committed,
            after: sold,
            before: ended,
        };
        let facts = SaleFacts { counted: BTreeMap::from([(Sku(0), counted)]), ..self.facts(ended) };
        let ended_in_order = self.server.end().await?;
        let times = Times { opened, sold, ended, audited: self.watch.now() };
        let history = History::new(facts, self.shop.books.read());
        let moved_ms = self.clocks.moved_ms_max();
        Ok(Report::new(self.config, &history, &self.kills, &times, counts, ended_in_order, moved_ms))
    }

    /// Asks everything once more.
    async fn audit(&self, ended: Moment) -> Result<(), DemoError> {
        self.progress.say("everybody has left; asking everything once more, with a full shelf");
        let history = || History::new(self.facts(ended), self.shop.books.read());
        let connections = usize::try_from(self.config.connections).unwrap_or(usize::MAX);
        let keys = Audit::of_keys(&history());
        self.organiser().put_stock(u64::from(self.config.units) + keys.units_max, "audit").await?;
        keys.ask(&self.shop, &self.people, connections).await;
        Audit::of_holds(&history()).ask(&self.shop, &self.people, connections).await;
        Ok(())
    }

    fn organiser(&self) -> Organiser<'_> {
        Organiser { client: &self.shop.client, token: self.admin.clone() }
    }

    fn facts(&self, ended: Moment) -> SaleFacts {
        let short = self.kills.iter().all(|it| it.ready.since(it.at) <= AWAY_MAX);
        SaleFacts {
            supply: BTreeMap::from([(Sku(0), u64::from(self.config.units))]),
            sells_out: true,
            buyers_insist: true,
            counted: BTreeMap::new(),
            hold_ttl: self.config.hold_ttl,
            units_per_customer_max: UNITS_PER_CUSTOMER_MAX,
            ended,
            clock_trusted: short && self.clocks.moved_ms_max() <= CLOCK_MOVED_MS_MAX,
        }
    }

    fn let_them_in(&self) -> JoinSet<()> {
        // Enough people must stay to take what others give back.
        let stay_percent = (200 * self.config.units / self.config.buyers.max(1)).clamp(10, 100);
        let mut buyers = JoinSet::new();
        for person in self.people.iter() {
            let plan = Plan::draw(self.config.seed, person.customer.0, stay_percent);
            buyers.spawn(Buyer::new(self.shop.clone(), person.clone(), plan).shop());
        }
        buyers
    }

    /// Until the last buyer has left.
    async fn watch_over(
        &mut self,
        mut buyers: JoinSet<()>,
        opened: Moment,
        mut shot: oneshot::Receiver<Kill>,
    ) -> Result<(), DemoError> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let units = u64::from(self.config.units);
        loop {
            tokio::select! {
                left = buyers.join_next() => match left {
                    None => return Ok(()),
                    Some(Err(_)) => return Err(DemoError::Failed),
                    Some(Ok(())) => continue,
                },
                status = self.server.wait() => {
                    let Some(fired) = shot.try_recv().ok() else {
                        return Err(ServerError::Ended(status?).into());
                    };
                    self.revive(fired).await?;
                    shot = self.load();
                }
                _ = look.tick() => {}
            }
            self.clocks.look();
            let sold = self.shop.books.confirmed_units();
            self.progress.show(&Standing {
                sold,
                requests: self.shop.books.exchanges(),
                buyers: buyers.len(),
            });
            let late = self.watch.now().since(opened) > self.config.give_up_after;
            if (sold >= units || late) && !*self.over.borrow() {
                self.progress.say(if late { "giving up" } else { "sold out" });
                self.over.send_replace(true);
            }
        }
    }

    /// Prepares the next death of the server, if there is to be one. The first comes in the rush, when half of the units
    /// are promised; the others on the way to the last unit.
    fn load(&mut self) -> oneshot::Receiver<Kill> {
        let (fired, shot) = oneshot::channel();
        let (done, planned) =
            (u64::try_from(self.kills.len()).unwrap_or(u64::MAX), u64::from(self.config.kills));
        let units = u64::from(self.config.units);
        let Some(pid) = self.server.pid().filter(|_| done < planned) else { return shot };
        let (watch, shop) = (self.watch, Arc::downgrade(&self.shop));
        let ring = Box::new(move |promised, sold| {
            let in_flight = shop.upgrade().map_or(0, |shop| shop.client.in_flight());
            let at = watch.now();
            kill(pid);
            // Whoever would hear of it is gone when the sale was given up.
            let _ = fired.send(Kill { at, ready: at, in_flight, promised, sold });
        });
        let confirmed_units = if done == 0 { 0 } else { (units * (done + 1)).div_ceil(planned + 1) };
        self.shop.books.set_alarm(Alarm { granted_units: units.div_ceil(2), confirmed_units, ring });
        shot
    }

    /// Starts the server again after it was killed.
    async fn revive(&mut self, mut kill: Kill) -> Result<(), DemoError> {
        // Of several roles only one was killed: buyers keep their connections.
        let life = self.target.borrow().life + u64::from(self.server.is_whole());
        if self.server.is_whole() {
            self.target.send_replace(Target { address: None, life });
        }
        self.recipe.revive(&mut self.server).await?;
        kill.ready = self.watch.now();
        self.target.send_replace(Target { address: Some(self.server.address()), life });
        self.progress.say(&format!(
            "kill -9 with {} units promised, {} sold and {} requests under way; back after {} ms",
            kill.promised,
            kill.sold,
            kill.in_flight,
            kill.ready.since(kill.at).as_millis()
        ));
        self.kills.push(kill);
        Ok(())
    }
}
