//! The runner: starts the system, sends traffic, does harm, heals, collects, and has the checker judge.

mod chaos;
mod client;
mod collect;
mod commands;
mod disk;
mod embedded;
mod kafka;
mod moments;
mod organiser;
mod process;
mod recorder;
mod scenarios;
mod system;
mod tokens;
mod traffic;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::check::Judgement;
use crate::evidence::{EvidenceError, SETTINGS, Settings};
use chaos::{Chaos, FaultClass};
use client::{Client, Targets};
use kafka::Kafka;
use recorder::Recorder;
use system::Member;
use tokens::Issuer;
use traffic::Market;

/// Buyers at one time.
const BUYERS: u64 = 24;

/// How a run is made.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The product.
    pub server: PathBuf,
    /// The checker.
    pub checker: PathBuf,
    /// How long harm is done.
    pub seconds: u64,
    /// 1 or 3, or 0 for the embedded log in one process.
    pub brokers: u32,
    /// What schedule and traffic follow from.
    pub seed: u64,
    /// An empty or missing directory that keeps everything.
    pub keep: Option<PathBuf>,
    /// Requests per second, at most.
    pub rate: u64,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something did not go as it must.
    #[error("{0}")]
    Failed(String),
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Evidence cannot be written.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

impl RunError {
    const fn io(doing: &'static str, source: io::Error) -> Self {
        Self::Io { doing, source }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The checker's answer.
    pub judgement: Judgement,
    /// The checker's JSON object.
    pub verdict: String,
    /// Where everything is, if it was kept.
    pub kept: Option<PathBuf>,
}

/// Says something to whoever watches.
pub(crate) fn say(text: &str) {
    // Nothing can be told to whoever closed stderr.
    let _ = writeln!(io::stderr(), "crash: {text}");
}

/// Makes a run and has it judged. What it leaves is kept if it was asked for, and whenever the verdict is not `pass`.
///
/// # Errors
/// [`RunError`] if there is no verdict; what there is is kept then.
pub fn run(config: &RunConfig) -> Result<Outcome, RunError> {
    let (directory, temporary) = match &config.keep {
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .map_err(|error| RunError::io("making the directory", error))?;
            (directory.clone(), None)
        }
        None => {
            let made = tempfile::Builder::new().prefix("holdfast-crash-").tempdir();
            let made = made.map_err(|error| RunError::io("making a directory", error))?;
            (made.path().to_owned(), Some(made))
        }
    };
    say(&format!(
        "seed {}, {} s, {} brokers, in {}",
        config.seed,
        config.seconds,
        config.brokers,
        directory.display()
    ));
    let judged =
        prepare(config, &directory).and_then(|stage| stage.play()).and_then(|()| judge(config, &directory));
    let keep = config.keep.is_some() || !judged.as_ref().is_ok_and(|it| it.0 == Judgement::Pass);
    let kept = keep.then(|| {
        // A temporary directory that is kept is not removed any more.
        temporary.map_or_else(|| directory.clone(), tempfile::TempDir::keep)
    });
    if let Some(kept) = &kept {
        say(&format!("seed {}; everything is kept in {}", config.seed, kept.display()));
    }
    judged.map(|(judgement, verdict)| Outcome { judgement, verdict, kept })
}

/// Runs the checker, a program that has nothing but the files.
fn judge(config: &RunConfig, directory: &Path) -> Result<(Judgement, String), RunError> {
    let output = Command::new(&config.checker).arg(directory.join("evidence")).output();
    let output = output.map_err(|source| RunError::io("running the checker", source))?;
    let _ = io::stderr().write_all(&output.stderr);
    let judgement = match output.status.code() {
        Some(0) => Judgement::Pass,
        Some(1) => Judgement::Fail,
        Some(3) => Judgement::Inconclusive,
        _ => return Err(RunError::Failed(format!("the checker came to no verdict: {}", output.status))),
    };
    Ok((judgement, String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// Where the log of a run is.
enum Kept {
    Embedded(PathBuf),
    Kafka(Box<Kafka>),
}

/// A system that runs, and everything that is needed to play with it.
struct Stage {
    /// Where the files are that processes talk into.
    talk: PathBuf,
    evidence: PathBuf,
    settings: Settings,
    members: Vec<Member>,
    classes: Vec<FaultClass>,
    market: Market,
    last: Vec<String>,
    kept: Kept,
}

fn prepare(config: &RunConfig, directory: &Path) -> Result<Stage, RunError> {
    match config.brokers {
        0 => embedded::prepare(config, directory),
        _ => kafka::prepare(config, directory),
    }
}

/// What every system begins with.
struct Beginning {
    evidence: PathBuf,
    data: PathBuf,
    recorder: Arc<Recorder>,
    targets: Arc<Targets>,
    settings: Settings,
    id_key_file: PathBuf,
}

impl Beginning {
    fn new(config: &RunConfig, directory: &Path, partitions: u32) -> Result<Self, RunError> {
        let (evidence, data) = (directory.join("evidence"), directory.join("data"));
        for made in [&evidence, &data] {
            std::fs::create_dir(made)
                .map_err(|source| RunError::io("making a directory that must be new", source))?;
        }
        let recorder = Arc::new(Recorder::create(&evidence)?);
        let mut rng = fastrand::Rng::with_seed(config.seed ^ 0x1d);
        let key: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(32).collect();
        let id_key_file = data.join("reservation-id.key");
        write_secret(&id_key_file, &key)?;
        let settings = Settings {
            seed: config.seed,
            started_wall_ms: recorder.begun_wall_ms(),
            seconds: config.seconds,
            brokers: config.brokers,
            partitions,
            id_key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
            ..Settings::default()
        };
        Ok(Self { evidence, data, recorder, targets: Arc::default(), settings, id_key_file })
    }

    fn market(&self, config: &RunConfig, issuer: Issuer, skus: Vec<String>) -> Market {
        let client = Client::new(Arc::clone(&self.recorder), Arc::clone(&self.targets), issuer);
        let (client, rate) = (Arc::new(client), config.rate);
        Market { client, skus, rate, buyers: BUYERS, serial: AtomicU64::new(0) }
    }
}

/// A file that only its owner may read.
fn write_secret(file: &Path, bytes: &[u8]) -> Result<(), RunError> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| RunError::io("writing a secret", source))
}

impl Stage {
    fn play(mut self) -> Result<(), RunError> {
        let seed = self.settings.seed;
        let mut rng = fastrand::Rng::with_seed(seed);
        organiser::open_sale(&self.market, &self.last, &mut rng)?;
        say("the sale is open");
        self.with_traffic(seed)?;
        say("healed; counting");
        self.settings.bought_out = organiser::close(&self.market, &self.last, &mut rng)?;
        for _ in 0..3 {
            self.members.iter().for_each(Member::tell_digests);
        }
        let unclean = self.members.iter_mut().filter_map(|it| (!it.end()).then(|| it.name.clone()));
        self.settings.unclean = unclean.collect();
        scenarios::complaints(&self.talk, &self.market.client);
        match &self.kept {
            Kept::Embedded(log) => embedded::dump(log, &self.evidence)?,
            Kept::Kafka(kafka) => {
                kafka.dump(&self.evidence)?;
                // What comes now destroys the topics.
                scenarios::play(kafka, &self.members, &self.market.client)?;
            }
        }
        if self.market.client.recorder.broken.load(Ordering::Relaxed) {
            return Err(RunError::Failed("evidence could not be written".to_owned()));
        }
        self.settings.settled = true;
        let settings = serde_json::to_vec_pretty(&self.settings).unwrap_or_default();
        std::fs::write(self.evidence.join(SETTINGS), settings)
            .map_err(|it| RunError::io("writing the settings", it))
    }

    /// Buyers come and go while harm is done.
    fn with_traffic(&mut self, seed: u64) -> Result<(), RunError> {
        let (market, members, classes) = (&self.market, &mut self.members, &self.classes);
        let kafka = match &self.kept {
            Kept::Kafka(kafka) => Some(&**kafka),
            Kept::Embedded(_) => None,
        };
        let seconds = self.settings.seconds;
        std::thread::scope(|scope| {
            for number in 0..market.buyers {
                scope.spawn(move || market.buyers(number, seed));
            }
            scope.spawn(move || organiser::restock(market, seed));
            let rng = fastrand::Rng::with_seed(seed ^ 0xc4a0);
            let mut chaos = Chaos { members, client: Arc::clone(&market.client), kafka, rng };
            let done = chaos.run(classes, seconds).and_then(|()| chaos.revive());
            // Buyers that still wait may take a while; nothing disturbs them any more.
            if done.is_ok() {
                organiser::wait_for_acks(&market.client, 20, Duration::from_secs(60));
            }
            market.client.over.store(true, Ordering::Relaxed);
            done
        })
    }
}
