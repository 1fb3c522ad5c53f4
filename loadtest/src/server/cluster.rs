//! A server on Kafka: an intake and two sequencers, each a process of its own, one of which stands by.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contracts::murmur2::partition_of;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Process, READY_WITHIN, Recipe, ServerError};

/// The data directory of the intake, below the server's.
pub(super) const INTAKE: &str = "intake";

const SEQUENCERS: usize = 2;
const PARTITIONS: u32 = 4;
/// A sequencer that is silent for so long is taken for dead.
const SESSION_MS: u32 = 3_000;
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Running roles. Killed when dropped.
pub(crate) struct Cluster {
    pub(super) intake: Process,
    sequencers: Vec<Process>,
    /// Which sequencer decides about what is sold.
    owner: usize,
}

/// What a sequencer says of its partitions, as far as it is of interest here.
#[derive(Deserialize)]
struct Status {
    partitions: Vec<Partition>,
}

#[derive(Deserialize)]
struct Partition {
    partition: u32,
    assignment: String,
    state: String,
}

impl Cluster {
    pub(super) async fn start(recipe: &Recipe, bootstrap: &str) -> Result<Self, ServerError> {
        write_settings(recipe, bootstrap)?;
        let settings = settings_file(recipe);
        let create = ["topics", "create", "--partitions"].map(OsStr::new);
        let partitions = partitions(recipe).to_string();
        recipe
            .run(create.into_iter().chain([
                OsStr::new(&partitions),
                OsStr::new("--config"),
                settings.as_ref(),
            ]))
            .await?;
        let mut sequencers = Vec::new();
        for number in 0..SEQUENCERS {
            sequencers.push(sequencer(recipe, number).await?);
        }
        let mut cluster = Self { intake: intake(recipe).await?, sequencers, owner: 0 };
        cluster.look(recipe).await?;
        Ok(cluster)
    }

    /// Waits until a sequencer owns what is sold, and remembers which.
    pub(super) async fn look(&mut self, recipe: &Recipe) -> Result<(), ServerError> {
        self.owner = self.find_owner(recipe, None).await?;
        Ok(())
    }

    pub(super) fn owner(&mut self) -> &mut Process {
        &mut self.sequencers[self.owner]
    }

    /// Waits until another sequencer has taken over, and starts the dead one again, to stand by.
    pub(super) async fn revive(&mut self, recipe: &Recipe) -> Result<(), ServerError> {
        let dead = self.owner;
        self.owner = self.find_owner(recipe, Some(dead)).await?;
        self.sequencers[dead] = sequencer(recipe, dead).await?;
        // The group may give partitions to whoever joins.
        self.look(recipe).await
    }

    async fn find_owner(&self, recipe: &Recipe, dead: Option<usize>) -> Result<usize, ServerError> {
        let wanted = partition_of(&recipe.sku, partitions(recipe)).0;
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            for (number, process) in self.sequencers.iter().enumerate().filter(|it| Some(it.0) != dead) {
                let owns = |it: &Partition| {
                    it.partition == wanted && it.assignment == "active" && it.state == "live"
                };
                // One that does not answer is on its way up or down.
                let status = timeout(ANSWER_WITHIN, ask(process.address)).await;
                if status.is_ok_and(|it| it.is_ok_and(|status| status.partitions.iter().any(owns))) {
                    return Ok(number);
                }
            }
            sleep(LOOK_EVERY).await;
        }
        Err(ServerError::NotReady)
    }

    pub(super) async fn end(&mut self) -> Result<bool, ServerError> {
        let mut in_good_order = self.intake.end().await?.success();
        for sequencer in &mut self.sequencers {
            in_good_order &= sequencer.end().await?.success();
        }
        Ok(in_good_order)
    }
}

fn partitions(recipe: &Recipe) -> u32 {
    recipe.partitions.unwrap_or(PARTITIONS)
}

pub(super) async fn intake(recipe: &Recipe) -> Result<Process, ServerError> {
    let (data, settings) = (recipe.data.join(INTAKE), settings_file(recipe));
    let listen = recipe.listen.to_string();
    let arguments = ["intake", "--listen", &listen, "--data"].map(OsStr::new);
    let data = [data.as_ref(), OsStr::new("--config"), settings.as_ref()];
    recipe.spawn(arguments.into_iter().chain(data)).await
}

async fn sequencer(recipe: &Recipe, number: usize) -> Result<Process, ServerError> {
    let data = recipe.data.join(format!("sequencer-{}", number + 1));
    let settings = settings_file(recipe);
    let serve = ["sequencer", "--listen", "127.0.0.1:0", "--data"].map(OsStr::new);
    recipe.spawn(serve.into_iter().chain([data.as_ref(), OsStr::new("--config"), settings.as_ref()])).await
}

fn settings_file(recipe: &Recipe) -> PathBuf {
    recipe.data.join("kafka.toml")
}

/// Topics of their own: the brokers may be somebody else's as well.
fn write_settings(recipe: &Recipe, bootstrap: &str) -> Result<(), ServerError> {
    let prefix = format!("demo-{:016x}-", fastrand::u64(..));
    let archive = recipe.data.join("archive");
    let text = format!(
        "[kafka]\nbootstrap = {}\ntopic_prefix = \"{prefix}\"\nprofile = \"single\"\n\n\
         [sequencer]\nstandby = true\n\n[roles]\nsession_timeout_ms = {SESSION_MS}\narchive = {}\n",
        quoted(bootstrap),
        quoted(&archive.display().to_string()),
    );
    let file = settings_file(recipe);
    let written = std::fs::create_dir_all(&archive).and_then(|()| std::fs::write(&file, text));
    written.map_err(|source| ServerError::File { file, source })
}

/// A TOML string.
fn quoted(text: &str) -> String {
    format!("{:?}", Path::new(text))
}

async fn ask(address: SocketAddr) -> io::Result<Status> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: operators\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).map_err(io::Error::other)
}
