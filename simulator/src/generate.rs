//! Buyers, operators, tickers and bad clients, drawn from a seed.
//!
//! [`Generator::next`] makes one command record after the other for one partition. It may look at the model as it stands
//! before the record, as real clients look at answers, and uses that to stand close to edges: the last unit, the very
//! millisecond of a deadline, a limit exactly reached, on hand exactly what is promised. Everything else it needs to
//! know (which ids it has used, for what) it keeps itself.

mod bad;
mod buyers;
mod clock;
mod control;
mod operators;
mod scenario;

use holdfast_contracts::command::{BatchBuilder, Command};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{IntakeId, LogId, PartitionId, RequestTag, ReservationId};

pub use scenario::{Features, Kind, Lengths, Popularity, Scenario, Spread, Weights};

use crate::model::{Model, Settings};
use crate::record::{Record, put_dictionary};
use crate::rng::{Rng, splitmix64};
use buyers::Asked;
use operators::{AdminCommand, Slot};

/// Makes the records of one seed.
#[derive(Debug)]
pub struct Generator {
    scenario: Scenario,
    settings: Settings,
    rng: Rng,
    made: u32,
    ids_made: u64,
    wall: u64,
    /// Names of SKUs of this partition, then some that nobody ever makes known, then some of other partitions.
    pool: Vec<String>,
    /// For each SKU but the unknown ones: how much it is wanted.
    wanted: Vec<u32>,
    sales: Vec<Slot>,
    /// Reserve commands of late, and some from long ago.
    recent: Vec<Asked>,
    old: Vec<Asked>,
    /// Administrative commands and extensions with an id, to be repeated.
    admin: Vec<AdminCommand>,
    /// The code of a record of late, to be copied.
    genuine: Vec<u8>,
    draft: Draft,
}

/// The record being made.
#[derive(Debug, Default)]
struct Draft {
    builder: BatchBuilder,
    /// Dictionary: numbers of SKUs in the pool. The builder's own dictionary stays empty.
    skus: Vec<usize>,
    /// Whoever sends it has no control key.
    forged: bool,
}

/// Unknown SKUs at the end of the pool, and as many of other partitions after them.
const STRANGE: usize = 2;

impl Generator {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64, lengths: Lengths) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::draw(seed, lengths, &mut rng);
        let mut log_id = [0; 16];
        log_id[..8].copy_from_slice(&rng.next().to_be_bytes());
        let partition = PartitionId(rng.between_u32(0, scenario.partitions - 1));
        let control_secret = scenario.control_secret(&mut rng);
        let partitions = scenario.partitions;
        let settings = Settings { partition, partitions, log_id: LogId(log_id), control_secret };
        Self::of(scenario, settings, rng)
    }

    /// A generator for a partition of a world that somebody else has drawn: `scenario` is used as it is, but for the
    /// number of partitions.
    #[must_use]
    pub fn of_partition(scenario: &Scenario, settings: Settings) -> Self {
        let rng = Rng::new(scenario.seed ^ splitmix64(u64::from(settings.partition.0) + 1));
        Self::of(Scenario { partitions: settings.partitions, ..scenario.clone() }, settings, rng)
    }

    fn of(scenario: Scenario, settings: Settings, mut rng: Rng) -> Self {
        let pool = pool(&scenario, settings.partition, &mut rng);
        let wanted = match scenario.popularity {
            Popularity::OneHot => (0..scenario.skus).map(|n| if n == 0 { 90 } else { 3 }).collect(),
            Popularity::Even => vec![1; scenario.skus],
            Popularity::Zipf => {
                (1..=scenario.skus).map(|n| 1_000 / u32::try_from(n).unwrap_or(1_000)).collect()
            }
        };
        let sales = (0..scenario.sales).map(|n| Slot::new(n, &scenario)).collect();
        Self {
            scenario,
            settings,
            rng,
            made: 0,
            ids_made: 0,
            wall: clock::BEGINNING,
            pool,
            wanted,
            sales,
            recent: Vec::new(),
            old: Vec::new(),
            admin: Vec::new(),
            genuine: Vec::new(),
            draft: Draft::default(),
        }
    }

    /// The time by the clock of everybody whose clock is right.
    #[must_use]
    pub const fn wall_ms(&self) -> u64 {
        self.wall
    }

    /// What the machine must be made with.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// What the seed turned on.
    #[must_use]
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The next record, or `None` at the end of the scenario. `model` has applied all records before it.
    pub fn next(&mut self, model: &Model) -> Option<Record> {
        if self.made == self.scenario.records {
            return None;
        }
        let append_time_ms = self.append_time(model);
        self.start_record();
        if self.made == 0 {
            self.set_up(model);
        } else if self.made + 1 == self.scenario.records && self.scenario.on.stop_at_the_end {
            self.stop(append_time_ms);
        } else if self.settings.control_secret.is_some() && self.rng.below(200) == 0 {
            self.send_false_control(append_time_ms);
        } else {
            self.fill(model, append_time_ms);
        }
        let mut payload = self.draft.builder.bytes().to_vec();
        let skus: Vec<&str> = self.draft.skus.iter().map(|n| self.pool[*n].as_str()).collect();
        put_dictionary(&mut payload, &skus);
        self.authenticate(&mut payload);
        self.made += 1;
        if self.scenario.on.malformed && self.rng.percent(2) {
            self.spoil(&mut payload);
        }
        Some(Record { append_time_ms, payload })
    }

    fn start_record(&mut self) {
        self.draft.skus.clear();
        self.draft.forged = false;
        let intake = if self.rng.coin() { self.rng.next() } else { 0 };
        self.draft.builder.start(IntakeId(intake), RequestTag(u64::from(self.made)));
    }

    fn fill(&mut self, model: &Model, append_time_ms: u64) {
        let most = self.scenario.commands_per_record_max;
        let commands = if self.rng.percent(30) { 1 } else { self.rng.between(1, most) };
        if self.rng.percent(20) {
            self.keep_selling(model);
        }
        if model.clock_is_suspect() && self.rng.percent(10) {
            self.heal_the_clock(model, append_time_ms);
        }
        for _ in 0..commands {
            let kind = Kind::ALL[self.rng.weighted(&self.scenario.weights.0)];
            self.act(kind, model, append_time_ms);
        }
    }

    fn act(&mut self, kind: Kind, model: &Model, append_time_ms: u64) {
        match kind {
            Kind::Reserve => self.reserve(model),
            Kind::Retry => self.retry(),
            Kind::OtherBody => self.other_body(model),
            Kind::DoubleClick => {
                self.reserve(model);
                self.repeat_last();
            }
            Kind::BeginPayment | Kind::Confirm | Kind::Reacquire | Kind::Release | Kind::Extend => {
                self.about_a_reservation(kind, model);
            }
            Kind::SetStock => self.set_stock(model),
            Kind::AdjustStock => self.adjust_stock(model),
            Kind::AdminRetry => self.admin_retry(),
            Kind::DefineSale => self.define_sale(model),
            Kind::OpenSale | Kind::PauseSale | Kind::CloseSale => self.switch_sale(kind),
            Kind::Tick => {
                let tick = self.tick(append_time_ms);
                self.push(&tick);
            }
            Kind::ActivateRules => self.activate_rules(model),
        }
    }

    /// Makes a suspect clock trusted again sooner or later, in the way this scenario knows.
    fn heal_the_clock(&mut self, model: &Model, append_time_ms: u64) {
        if self.scenario.on.ticks {
            let tick = self.tick(append_time_ms);
            self.push(&tick);
        } else if let Some(now) = model.log_time_ms() {
            // Somebody put the log's clock right.
            self.wall = now;
        }
    }

    /// The last record of some scenarios: the partition must stop at it.
    fn stop(&mut self, append_time_ms: u64) {
        let command = if self.rng.coin() {
            self.foreign_tick(append_time_ms)
        } else {
            let version = self.rng.one_of(&[0, 3, 4, u32::MAX]);
            Command::ActivateRules { version, dedupe_window_ms: 0, work_per_record_max: 0 }
        };
        self.push(&command);
    }

    fn push(&mut self, command: &Command<'_>) {
        self.draft.builder.push(command);
    }

    /// The dictionary index of a SKU of the pool in this record. Bad clients name one twice, or none.
    fn index_of(&mut self, sku: usize) -> u32 {
        let found = self.draft.skus.iter().position(|known| *known == sku);
        let again = self.scenario.on.wrong_indexes && self.rng.percent(5);
        let index = match found {
            Some(index) if !again => index,
            _ => {
                self.draft.skus.push(sku);
                self.draft.skus.len() - 1
            }
        };
        if self.scenario.on.wrong_indexes && self.rng.percent(1) {
            return self.rng.one_of(&[u32::MAX, 1_000_000, 100]);
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn new_id(&mut self) -> ReservationId {
        self.ids_made += 1;
        let n = u128::from(self.ids_made);
        let id = match self.scenario.ids {
            Spread::Random => u128::from(self.rng.next()) << 64 | u128::from(self.rng.next()),
            Spread::Low => n,
            Spread::High => n << 96,
        };
        ReservationId(id.to_be_bytes())
    }

    /// The pseudonym of the buyer with this number, never 0.
    fn customer(&self, number: u64) -> u64 {
        match self.scenario.customer_ids {
            Spread::Random => splitmix64(number).max(1),
            Spread::Low => number,
            Spread::High => number << 40,
        }
    }
}

fn pool(scenario: &Scenario, partition: PartitionId, rng: &mut Rng) -> Vec<String> {
    let own = scenario.skus + STRANGE;
    let foreign = if scenario.partitions > 1 { STRANGE } else { 0 };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut n = 0u64;
    while ours.len() < own || theirs.len() < foreign {
        n += 1;
        // Names of all lengths, some of which are beginnings of others: byte order must be right.
        let name = match rng.below(8) {
            0 => "S".repeat(usize::try_from(n % 64 + 1).unwrap_or(1)),
            1 => format!("S{n}-{}", "\u{e4}".repeat(usize::try_from(n % 8).unwrap_or(1))),
            _ => format!("S{n}"),
        };
        let list =
            if partition_of(&name, scenario.partitions) == partition { &mut ours } else { &mut theirs };
        if !list.contains(&name) && list.len() < own.max(foreign) {
            list.push(name);
        }
    }
    theirs.truncate(foreign);
    ours.truncate(own);
    ours.extend(theirs);
    ours
}
