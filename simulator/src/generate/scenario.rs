//! What a seed turns on. Each feature is off in about half of the seeds, so that rare things meet in many mixtures.

use holdfast_contracts::{LogTime, SaleTerms};

use crate::rng::Rng;

/// How many records the seeds of a run have: most few, some many, a few very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// 80 of 100 seeds.
    pub short: u32,
    /// 18 of 100 seeds.
    pub middle: u32,
    /// 2 of 100 seeds.
    pub long: u32,
}

impl Lengths {
    /// For a change: 2,000 seeds are over 20 million decisions and take less than a minute on two cores.
    pub const QUICK: Self = Self { short: 1_800, middle: 9_000, long: 36_000 };
    /// For a night: wheels turn over, ids are forgotten by the hundred thousand.
    pub const NIGHT: Self = Self { short: 2_000, middle: 20_000, long: 1_000_000 };
    /// For a unit test.
    pub const TINY: Self = Self { short: 400, middle: 2_000, long: 4_000 };
}

/// Everything that was drawn for one seed before its first record.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each option is named after what it does; it is printed with a failing seed")]
pub struct Scenario {
    pub seed: u64,
    pub records: u32,
    pub commands_per_record_max: u64,
    pub partitions: u32,
    pub skus: usize,
    pub sales: usize,
    pub customers: u64,
    pub popularity: Popularity,
    pub ids: Spread,
    pub customer_ids: Spread,
    /// Usual step of log time between two records, in ms.
    pub pace_ms: u64,
    pub stock_max: u64,
    pub quantity_max: u32,
    pub terms: SaleTerms,
    pub dedupe_window_ms: u64,
    pub work_per_record_max: u32,
    pub on: Features,
    pub weights: Weights,
}

/// Which SKU a buyer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Popularity {
    OneHot,
    Even,
    Zipf,
}

/// How the numbers of a kind lie. Clients count up as often as they draw lots, and a table must bear both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// All bits random.
    Random,
    /// Counting up in the lowest bits.
    Low,
    /// Counting up in the highest bits.
    High,
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident $(: $percent:literal)?,)*) => {
        /// What may happen at all in this seed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[expect(missing_docs, reason = "each feature is named after what it lets happen")]
        pub struct Features { $($(#[$doc])* pub $name: bool,)* }

        impl Features {
            fn draw(rng: &mut Rng) -> Self {
                Self { $($name: rng.percent(features!(@percent $($percent)?)),)* }
            }
        }
    };
    (@percent $percent:literal) => { $percent };
    (@percent) => { 50 };
}

features! {
    multi_line,
    allow_partial,
    waitlist,
    /// Holds live for minutes to a month, far beyond the scenario's pace.
    long_lives: 12,
    /// Hardly anybody is turned away from a line, and most want much.
    long_lines: 12,
    retries,
    other_body,
    double_clicks,
    old_ids,
    strangers,
    system,
    forced_cuts,
    expected_stock,
    set_aside,
    terms_change,
    windows: 30,
    freezes,
    closes: 30,
    sku_moves: 30,
    rules_two,
    rules_change: 25,
    small_window,
    small_work,
    clock_backwards,
    clock_jumps: 40,
    clock_extremes: 15,
    clock_edges,
    ticks,
    mad_ticks: 30,
    malformed: 30,
    unknown_skus,
    wrong_indexes: 25,
    extreme_numbers: 25,
    stop_at_the_end: 4,
    control_key,
}

/// How likely each kind of command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights(pub [u32; Kind::ALL.len()]);

macro_rules! kinds {
    ($($name:ident = $weight:literal,)*) => {
        /// What an actor may do next.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each kind is named after the command or the trick")]
        pub enum Kind { $($name,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            const WEIGHTS: &[u32] = &[$($weight,)*];
        }
    };
}

kinds! {
    Reserve = 400,
    Retry = 60,
    OtherBody = 25,
    DoubleClick = 25,
    BeginPayment = 60,
    Confirm = 80,
    Reacquire = 30,
    Release = 50,
    Extend = 40,
    SetStock = 16,
    AdjustStock = 20,
    AdminRetry = 16,
    DefineSale = 8,
    OpenSale = 6,
    PauseSale = 5,
    CloseSale = 2,
    Tick = 16,
    ActivateRules = 3,
}

/// Commands per record: mostly few, as at the edges of a sale, and now and then the batches of its peak.
const BATCHES: [u64; 20] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 8, 8, 8, 64];

impl Scenario {
    /// Draws the options of a seed.
    #[must_use]
    pub fn draw(seed: u64, lengths: Lengths, rng: &mut Rng) -> Self {
        let on = Features::draw(rng);
        let records = match rng.below(100) {
            0..80 => lengths.short,
            80..98 => lengths.middle,
            _ => lengths.long,
        };
        let spreads = [Spread::Random, Spread::Random, Spread::Random, Spread::Low, Spread::High];
        let batch = rng.one_of(&BATCHES);
        let pace_ms = rng.one_of(&[0, 1, 20, 300, 2_000, 7_000]);
        let sales = rng.one_of(&[1, 1, 2, 3]);
        let skus = rng.one_of(&[1, 1, 1, 2, 2, 2, 3, 3, 3, 8, 8, 8, 20, 20, 120]).max(sales);
        Self {
            seed,
            records,
            // A very long scenario must still fit into memory.
            commands_per_record_max: if records > 100_000 { batch.min(4) } else { batch },
            partitions: rng.one_of(&[1, 1, 4]),
            skus,
            sales,
            customers: rng.one_of(&[2, 12, 60, 500, 1_000_000]),
            popularity: rng.one_of(&[Popularity::OneHot, Popularity::Even, Popularity::Zipf]),
            ids: rng.one_of(&spreads),
            customer_ids: rng.one_of(&spreads),
            pace_ms,
            stock_max: if on.long_lines { 6 } else { rng.one_of(&[2, 8, 8, 40, 400]) },
            quantity_max: if on.long_lines { 9 } else { rng.one_of(&[1, 2, 4, 9]) },
            terms: draw_terms(pace_ms, on, rng),
            dedupe_window_ms: if on.small_window {
                rng.one_of(&[1, 3, 4, 7, 40 * pace_ms + 5, 200 * pace_ms + 8, 1_000 * pace_ms + 100])
            } else {
                0
            },
            work_per_record_max: if on.small_work { rng.one_of(&[1, 1, 2, 3, 7]) } else { 0 },
            on,
            weights: Weights::draw(on, rng),
        }
    }
}

impl Scenario {
    /// The control key of the log, if there is one.
    #[must_use]
    pub fn control_secret(&self, rng: &mut Rng) -> Option<[u8; 32]> {
        let byte = rng.next().to_be_bytes()[0];
        self.on.control_key.then_some([byte; 32])
    }
}

/// Terms under which much happens at this pace: holds of a few records' life, low limits.
pub(super) fn draw_terms(pace_ms: u64, on: Features, rng: &mut Rng) -> SaleTerms {
    let records = |rng: &mut Rng, most: u64| {
        let ms = rng.between(1, most) * pace_ms + rng.below(3) + u64::from(pace_ms == 0);
        u32::try_from(ms.max(1)).unwrap_or(u32::MAX).min(2_592_000_000)
    };
    let reach = rng.one_of(&[3, 12, 60, 200]);
    let life = |rng: &mut Rng| if on.long_lives { 1 << rng.between(10, 31) } else { records(rng, reach) };
    let hold_ttl_ms = life(rng);
    let offer_ttl_ms = life(rng);
    let total = hold_ttl_ms.max(offer_ttl_ms);
    let longer = if rng.percent(8) { 2_592_000_000 } else { total.saturating_mul(rng.between_u32(1, 4)) };
    SaleTerms {
        hold_ttl_ms,
        payment_window_ms: records(rng, reach),
        units_per_customer_max: if on.long_lines { 0 } else { rng.one_of(&[0, 0, 1, 2, 4, 10]) },
        units_per_reservation_max: if on.long_lines { 0 } else { rng.one_of(&[0, 0, 3, 6]) },
        extend_max: rng.one_of(&[0, 1, 2, 15]),
        hold_total_max_ms: longer.clamp(total, 2_592_000_000),
        offer_ttl_ms,
        opens_at: LogTime(0),
        closes_at: LogTime(0),
        waitlist: on.waitlist || on.long_lines,
    }
}

impl Weights {
    fn draw(on: Features, rng: &mut Rng) -> Self {
        let mut weights = [0; Kind::ALL.len()];
        for (n, kind) in Kind::ALL.iter().enumerate() {
            let possible = match kind {
                Kind::Retry => on.retries,
                Kind::OtherBody => on.other_body,
                Kind::DoubleClick => on.double_clicks,
                Kind::CloseSale => on.closes,
                Kind::Tick => on.ticks || on.mad_ticks,
                Kind::ActivateRules => on.rules_change,
                _ => true,
            };
            weights[n] = if possible { Kind::WEIGHTS[n] * rng.one_of(&[1, 2, 2, 2, 6]) / 2 } else { 0 };
        }
        if on.long_lines {
            // A line grows only where little comes back and nobody loses patience.
            weights[Kind::Release as usize] /= 8;
            weights[Kind::SetStock as usize] /= 8;
            weights[Kind::AdjustStock as usize] /= 4;
            weights[Kind::CloseSale as usize] = 0;
        }
        Self(weights)
    }
}
