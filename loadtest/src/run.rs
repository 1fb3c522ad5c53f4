//! A scenario, played against a server and judged.

mod audit;
pub(crate) mod config;
pub(crate) mod crew;
mod errands;
mod error;
mod faults;
mod files;
mod finish;
mod judge;
pub(crate) mod organiser;
mod own_server;
pub(crate) mod process;
mod stage;
pub(crate) mod tally;
pub(crate) mod target;
mod through_kafka;

pub use crate::remote::{Secret, Workers};
pub(crate) use config::open as open_scenario;
pub use config::{Progress, RunConfig, Start};
pub use error::RunError;
pub use faults::FaultError;
pub use files::REPORT;
pub use target::Credentials;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::crew::{News, Share};
use self::faults::Plan;
use self::judge::{blame, judge, judge_plain, plain_sku_rows, sku_rows};
use self::organiser::{Organiser, Terms};
use self::own_server::{Home, Shared};
use self::stage::Stage;
use self::tally::Tally;
use self::target::{Target, Tokens};
use crate::books::{ClockWatch, Exchange, Moment, Sku, Stopwatch};
use crate::checks::{CLOCK_MOVED_MS_MAX, Check, History, SaleFacts};
use crate::drive::{Cast, Wording, Written, sku_names};
use crate::kafka::Post;
use crate::live::Phase;
use crate::remote;
use crate::results::{FaultMark, Generator, Results};
use crate::scenario::Scenario;
use crate::thresholds::Threshold;

/// Between the word to begin and T0: threads start and connections are made.
const LEAD: Duration = Duration::from_millis(300);
const LEAD_PER_CONNECTION: Duration = Duration::from_micros(50);
/// How often whoever waits for the workers looks at anything else.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Plays the scenario and judges it. A bad verdict is no error.
///
/// # Errors
/// [`RunError`] when there can be no verdict.
pub fn run(config: &RunConfig) -> Result<Results, RunError> {
    let source = config.source()?;
    let scenario = source.read()?;
    let home = config.start.as_ref().map(Home::open).transpose()?;
    let plan = Plan::new(&scenario.faults, config, home.as_ref().map(Home::path))?;
    match (home, &config.start) {
        (Some(home), Some(start)) => own_server::with(home, start, config, |config, own| {
            against(config, source, scenario, plan.with(own.clone()), Some(&own))
        }),
        _ => against(config, source, scenario, plan, None),
    }
}

/// Plays it against a server that is there.
fn against(
    config: &RunConfig,
    source: config::Source,
    scenario: Scenario,
    plan: Plan,
    own: Option<&Shared>,
) -> Result<Results, RunError> {
    let thresholds = scenario.thresholds.iter().filter_map(|it| it.read().ok()).collect();
    let mut target = Target::parse(&config.server)?;
    target.reach()?;
    let number = fastrand::u64(..) >> 24;
    let post = through_kafka::open(config, &scenario, number, &mut target)?;
    let mut stage = Stage::new(config, &scenario, &target)?;
    let credentials = if scenario.api.is_some() { &Credentials::None } else { &config.credentials };
    // The log asks nobody who they are.
    let customers = if post.is_some() { 0 } else { *scenario.buyers.customers.get_ref() };
    let tokens = Tokens::make(credentials, customers, number)?;
    let together = *scenario.buyers.multi_line.get_ref() > 0.0;
    let partitions = together.then_some(post.as_ref().map_or(config.partitions, |post| post.partitions()));
    let skus = sku_names(&format!("LT-{number:x}"), *scenario.sale.skus.get_ref(), partitions);
    if let Some(own) = own {
        own.lock().unwrap_or_else(PoisonError::into_inner).sells(&skus[0]);
    }
    let wording = Wording::new(&target.host, number, tokens.customers, skus.clone());
    let cast = Cast::new(scenario, wording).map_err(|what| RunError::Api { what })?;
    // Before anything is changed at the server: a worker may be missing.
    let share = remote::Plan { source, threads: config.threads, run: number, target: &target, cast: &cast };
    let crew = match (config.workers.names.is_empty(), &post) {
        (true, _) => None,
        (false, None) => Some(remote::Crew::gather(&config.workers, &share)?),
        (false, Some(_)) => {
            let what = "workers ask over HTTP: leave out --workers or --through-kafka".to_owned();
            return Err(RunError::Workers { what });
        }
    };
    let (admin, cast) = (tokens.admin, Arc::new(cast));
    let play = Play { config, thresholds, target, number, admin, skus, cast, crew, post };
    let mut results = match play.cast.is_plain() {
        true => play.play_plainly(&mut stage, plan),
        false => play.play(&mut stage, plan),
    };
    if let Ok(results) = &mut results {
        own_server::end(own, results);
    }
    stage.finish(results)
}

/// A run with everything it needs.
struct Play<'a> {
    config: &'a RunConfig,
    thresholds: Vec<Threshold>,
    target: Target,
    /// Tells this run's keys, customers and SKUs from those of others.
    number: u64,
    admin: String,
    skus: Vec<String>,
    cast: Arc<Cast>,
    /// Those who send, if it is not this process.
    crew: Option<remote::Crew>,
    /// The buyers ask through Kafka.
    post: Option<Arc<Post>>,
}

/// What was measured and written down.
struct Played {
    tally: Tally,
    written: Written,
    /// T0.
    started_ms: u64,
    /// From T0 to the last answer.
    duration: Duration,
    is_aborted: bool,
    generator: Generator,
    faults: Vec<FaultMark>,
    /// Nobody was away for so long that deadlines say nothing.
    is_in_time: bool,
}

impl Play<'_> {
    /// A sale of Holdfast's.
    fn play(&self, stage: &mut Stage, plan: Plan) -> Result<Results, RunError> {
        let sale = &self.cast.scenario.sale;
        let clocks = ClockWatch::start();
        let terms = Terms {
            hold_ttl_ms: *sale.hold_ttl_ms.get_ref(),
            units_per_customer_max: *sale.units_per_customer_max.get_ref(),
        };
        self.organiser(Stopwatch::start()).open_sale(&terms, *sale.units.get_ref())?;
        let watch = self.t0();
        let mut played = self.perform(watch, &clocks, stage, plan)?;
        stage.enter(Phase::Auditing);
        // From here on whoever wants an end wants none of this either.
        self.config.stop.store(false, Ordering::Relaxed);
        let mut books = std::mem::take(&mut played.written.exchanges);
        let mut facts = self.facts(watch.now(), &clocks, played.is_in_time);
        let mut faults = Vec::new();
        match self.organiser(watch).availability() {
            Ok(counted) => {
                facts = SaleFacts { counted, ended: watch.now(), ..facts };
                faults = self.audit(watch, &facts, &mut books, stage)?;
            }
            Err(RunError::Interrupted) => return Err(RunError::Interrupted),
            // A server that does not say any more what is left is not asked for anything else: its silence is the verdict.
            Err(error) => stage.say(&error.to_string()),
        }
        let history = History::new(facts, books);
        let mut checks = judge(&history);
        blame(&mut checks, Check::LostAnswers, &faults);
        Ok(self.results(&played, checks, sku_rows(&history, &self.skus)))
    }

    /// Somebody else's interface: there is nothing to open, and nothing to ask at the end.
    fn play_plainly(&self, stage: &mut Stage, plan: Plan) -> Result<Results, RunError> {
        let played = self.perform(self.t0(), &ClockWatch::start(), stage, plan)?;
        let counts = played.tally.requests();
        if counts.due > 0 && counts.answered == 0 && !played.is_aborted {
            // Rules about answers say nothing about a server that gave none.
            return Err(RunError::Silent { server: self.target.base.clone() });
        }
        let units = *self.cast.scenario.sale.units.get_ref();
        let checks = judge_plain(&self.supply(), &played.written.plain);
        Ok(self.results(&played, checks, plain_sku_rows(&self.skus, units, &played.written.plain)))
    }

    /// A watch that starts when all connections will have been opened.
    fn t0(&self) -> Stopwatch {
        let lead = LEAD + LEAD_PER_CONNECTION * *self.cast.scenario.connections.get_ref();
        let delay = self.crew.as_ref().map_or(Duration::ZERO, remote::Crew::delay);
        Stopwatch::starting_at(Instant::now() + lead + delay)
    }

    fn organiser(&self, watch: Stopwatch) -> Organiser<'_> {
        Organiser {
            target: &self.target,
            admin: &self.admin,
            skus: &self.skus,
            run: self.number,
            watch,
            stop: &self.config.stop,
        }
    }

    /// The sale itself, from T0 to the last answer.
    fn perform(
        &self,
        watch: Stopwatch,
        clocks: &ClockWatch,
        stage: &mut Stage,
        plan: Plan,
    ) -> Result<Played, RunError> {
        let threads = self.threads();
        let is_over = Arc::new(AtomicBool::new(false));
        let (tell, news) = mpsc::channel();
        match (&self.crew, &self.post) {
            (Some(crew), _) => crew.start(watch, &is_over, &tell),
            (None, Some(post)) => through_kafka::start(&self.cast, post, watch, &is_over, &tell),
            (None, None) => {
                let share = Share { first: 0, here: threads, all: threads };
                crew::start(&self.cast, self.target.address, share, watch, &is_over, &tell);
            }
        }
        drop(tell);
        let started = SystemTime::now() + watch.until_start();
        stage.begin(started)?;
        let mut faults = plan.start(watch);
        let (mut tally, mut written) = (Tally::new(threads), Written::default());
        let (mut is_aborted, mut processes) = (false, Vec::new());
        while !tally.all_ended() {
            match news.recv_timeout(LOOK_EVERY) {
                Ok(News::Second(worker, interval)) => tally.add(worker, interval),
                Ok(News::Ended(worker, books)) => {
                    tally.ended(worker);
                    written.append(books?);
                }
                Ok(News::Process(figures)) => processes.push(figures),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::Failed),
            }
            clocks.look();
            let mut is_news = false;
            while let Some(interval) = tally.close() {
                stage.second(&mut tally, &interval)?;
                is_news = true;
            }
            let must_abort = is_news && self.must_abort(&tally, watch);
            stage.faults(faults.marks()?);
            stage.show(&tally, watch);
            if !is_aborted && (must_abort || stage.wants_stop()) {
                is_over.store(true, Ordering::Relaxed);
                is_aborted = true;
                faults.finish()?;
            }
        }
        let is_in_time = faults.finish()?;
        let faults = faults.marks()?;
        stage.faults(faults.clone());
        let duration = written.last_answer().since(Moment(0));
        let generator = match self.crew {
            Some(_) => remote::together(&processes, &tally),
            None => stage.generator(&self.cast.scenario, &tally, threads, self.connections()),
        };
        stage.warn(&generator);
        let started_ms = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let started_ms = u64::try_from(started_ms).unwrap_or(u64::MAX);
        Ok(Played { tally, written, started_ms, duration, is_aborted, generator, faults, is_in_time })
    }

    /// Whether a threshold fails that ends the run. Figures change with every second that is over, and not in between.
    fn must_abort(&self, tally: &Tally, watch: Stopwatch) -> bool {
        if !self.thresholds.iter().any(Threshold::can_abort) {
            return false;
        }
        let elapsed = watch.now().since(Moment(0));
        let so_far = finish::so_far(tally, elapsed);
        self.thresholds.iter().any(|it| it.aborts(elapsed, &so_far))
    }

    fn ask(
        &self,
        watch: Stopwatch,
        questions: &[audit::Question],
        books: &mut Vec<Exchange>,
    ) -> Result<(), RunError> {
        audit::ask(
            self.target.address,
            self.cast.scenario.connection_count(),
            watch,
            &self.config.stop,
            &self.cast.wording,
            questions,
            books,
        )
    }

    /// Asks everything once more, with full shelves. Says what is wrong besides what the books say.
    fn audit(
        &self,
        watch: Stopwatch,
        facts: &SaleFacts,
        books: &mut Vec<Exchange>,
        stage: &mut Stage,
    ) -> Result<Vec<String>, RunError> {
        let (keys, more) = audit::asked_of(facts, books, audit::keys);
        let on_hand = |sku: Sku| {
            let had = facts.counted.get(&sku).map_or(0, |it| it.available + it.held + it.committed);
            had + more.get(&sku).copied().unwrap_or_default()
        };
        let units: Vec<u64> = facts.supply.keys().map(|sku| on_hand(*sku)).collect();
        if let Err(error) = self.organiser(watch).put_stock(&units, "audit") {
            stage.say(&error.to_string());
        }
        if let Some(post) = &self.post {
            return Ok(through_kafka::audit(post, &self.skus, watch, facts, &keys, books));
        }
        self.ask(watch, &keys, books)?;
        let holds = audit::asked_of(facts, books, audit::holds);
        self.ask(watch, &holds, books)?;
        Ok(Vec::new())
    }

    /// Threads that send.
    fn threads(&self) -> usize {
        match (&self.crew, &self.post) {
            (Some(crew), _) => crew.threads(),
            (None, Some(_)) => 1,
            (None, None) => self.config.threads(&self.cast.scenario),
        }
    }

    /// Requests that can be under way.
    fn connections(&self) -> u32 {
        let connections = *self.cast.scenario.connections.get_ref();
        if self.post.is_some() && !self.cast.is_closed() { through_kafka::UNDER_WAY_MAX } else { connections }
    }

    fn supply(&self) -> BTreeMap<Sku, u64> {
        let sale = &self.cast.scenario.sale;
        (0..*sale.skus.get_ref()).map(|number| (Sku(number), *sale.units.get_ref())).collect()
    }

    fn facts(&self, ended: Moment, clocks: &ClockWatch, is_in_time: bool) -> SaleFacts {
        let sale = &self.cast.scenario.sale;
        SaleFacts {
            supply: self.supply(),
            sells_out: false,
            buyers_insist: false,
            counted: BTreeMap::new(),
            hold_ttl: Duration::from_millis(*sale.hold_ttl_ms.get_ref()),
            units_per_customer_max: *sale.units_per_customer_max.get_ref(),
            ended,
            clock_trusted: is_in_time && clocks.moved_ms_max() <= CLOCK_MOVED_MS_MAX,
        }
    }
}
