//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use holdfast_loadtest::cli::Loadtest;

use crate::output::Format;

/// Decides who gets the last units of a flash sale.
///
/// Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 findings, 69 something needed is not
/// there, 75 try again later, 130 interrupted. `loadtest` has some of its own, see its help.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The form of the data on stdout
    #[arg(long, global = true, value_enum, default_value_t, env = "HOLDFAST_OUTPUT")]
    pub(crate) output: Format,
    /// Without talk that is not about a failure
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// The file with the settings; the defaults apply without one
    #[arg(long, global = true, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory
    #[arg(long, global = true, value_name = "DIR", env = "HOLDFAST_DATA")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, until SIGTERM or SIGINT; print the address once ready
    Up(Up),
    /// Run the part that decides, on Kafka, until SIGTERM or SIGINT; print the operators' address once it runs
    Sequencer(RoleFlags),
    /// Run the part that serves buyers, on Kafka, until SIGTERM or SIGINT; print the address once ready
    Intake(Up),
    /// Make, check or describe the topics of a log on Kafka
    #[command(subcommand)]
    Topics(Topics),
    /// Let the sequencer of this data directory hand over everything it owns; it stands by afterwards
    Drain,
    /// Look at records that could not be decoded
    #[command(subcommand)]
    Dlq(Dlq),
    /// Look at the checkpoints in the archive
    #[command(subcommand)]
    Checkpoints(Checkpoints),
    /// Check, define, open, pause, close or show a sale
    #[command(subcommand)]
    Sale(Sale),
    /// Set, adjust or show the stock of a SKU
    #[command(subcommand)]
    Stock(Stock),
    /// Say where an id stands in the log, what the machine saw, which rule answered, and what became of it
    Explain {
        /// 32 hexadecimal digits, with or without the hyphens of a UUID
        id: String,
    },
    /// Run the machines over the log again, and hold digests and outputs against what was written live
    Replay {
        /// Only this partition
        #[arg(long)]
        partition: Option<u32>,
    },
    /// Look whether a server can run well here, and say what to do where it cannot
    Doctor {
        /// The address a server would listen on
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// The partition count a server would be started with
        #[arg(long)]
        partitions: Option<u32>,
    },
    /// Print a token of a development server, and nothing else; its data directory must be there
    Token(Token),
    /// Make or show the key that operators' commands are authenticated with on Kafka
    #[command(subcommand)]
    ControlKey(ControlKey),
    /// Go on with another reservation id key than the one the log was begun with, which is lost
    ///
    /// Whatever was decided so far can no longer be found by those who asked: every Idempotency-Key is decided afresh, and no
    /// buyer can see, confirm or release a reservation made before.
    AcceptIdKey {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Hold a whole sale against a server that is killed in the middle; exit 0 only if the verdict is exact
    Demo(Demo),
    /// Load a server with the buyers of a scenario, and judge it by what they were told
    #[command(subcommand)]
    Loadtest(Loadtest),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Say what this build is, and what it reads and writes
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ControlKey {
    /// Make the file that `control_key_file` names, and print its fingerprint; never replaces one
    Create,
    /// Print the fingerprint of the key in the file that `control_key_file` names
    Show,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where to listen; port 0 takes a free one
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Partitions of a log that is created; a log that exists must have as many
    #[arg(long)]
    pub(crate) partitions: Option<u32>,
    /// Refuse to start without configured keys
    #[arg(long)]
    pub(crate) production: bool,
}

/// How a role without buyers is started.
#[derive(Debug, Args)]
pub(crate) struct RoleFlags {
    /// Where operators find probes, status and figures; port 0 takes a free one
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Make the topics that are missing; those that are there stay as they are
    Create {
        /// Partitions, for good
        #[arg(long)]
        partitions: Option<u32>,
    },
    /// Say what is not as it must be; exit 3 if anything must not run on them
    Check {
        /// Partitions that are expected
        #[arg(long)]
        partitions: Option<u32>,
    },
    /// Show the topics, their settings and their partitions
    Describe,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List them
    List {
        /// Only this partition
        #[arg(long)]
        partition: Option<u32>,
        /// At most so many of each partition
        #[arg(long, default_value_t = 100)]
        max: usize,
    },
    /// Show one of them with its bytes
    Show {
        /// The partition
        partition: u32,
        /// Its place among the dead letters, as `list` says it
        place: u64,
    },
    /// Decode one of them again with this build and say what would become of it
    Replay {
        /// The partition
        partition: u32,
        /// Its place among the dead letters, as `list` says it
        place: u64,
        /// Only say; nothing else is offered: the machine has answered the record, and a second try is a new request
        #[arg(long, required = true)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Checkpoints {
    /// List them
    List,
    /// Read the newest of each partition back, build its machine and compare the digest
    Verify,
}

/// The data directory, if one is given, must be empty.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many people want to buy
    #[arg(long)]
    pub(crate) buyers: Option<u32>,
    /// Units on the shelf
    #[arg(long)]
    pub(crate) units: Option<u32>,
    /// What the buyers do follows from it
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Connections that the buyers share
    #[arg(long)]
    pub(crate) connections: Option<u32>,
    /// How often the server is killed
    #[arg(long)]
    pub(crate) kills: Option<u32>,
    /// How long an unpaid hold lives
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) hold_ttl: Option<Duration>,
    /// When a sale that does not sell out is given up
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) give_up_after: Option<Duration>,
    /// Brokers to hold the sale on, with every role as a process of its own
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(crate) kafka: Option<String>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Whose token it is: the customer
    #[arg(long)]
    pub(crate) subject: String,
    /// What it allows; `admin` is for operators. May be given again
    #[arg(long)]
    pub(crate) scope: Vec<String>,
    /// How long it is good for
    #[arg(long, default_value = "12h", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Duration,
}

/// How the server is reached.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server; the one that runs on the data directory without it
    #[arg(long, value_name = "URL", env = "HOLDFAST_SERVER")]
    pub(crate) server: Option<String>,
    /// An operator's token; one from the development keys without it
    #[arg(long, env = "HOLDFAST_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// How long to wait for an answer
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sale {
    /// Check a file with a sale, without a server
    Validate {
        /// TOML, or JSON if its name ends so: `id`, `skus`, and terms
        file: PathBuf,
    },
    /// Make a sale known, or change its terms
    Define {
        /// As for `validate`
        file: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Start or resume a sale
    Open {
        /// The sale
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Stop a sale for a while
    Pause {
        /// The sale
        id: String,
        /// Let the deadlines of its holds stand still meanwhile
        #[arg(long)]
        freeze_ttl: bool,
        #[command(flatten)]
        server: Server,
    },
    /// End a sale for good
    Close {
        /// The sale
        id: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Show a sale
    Status {
        /// The sale
        id: String,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Stock {
    /// Set the units on hand
    Set(SetStock),
    /// Change the units on hand, or set some aside as not for sale
    Adjust(AdjustStock),
    /// Show what is available, held and committed
    Show {
        /// The SKU
        sku: String,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetStock {
    /// The SKU
    pub(crate) sku: String,
    /// Units on hand from now on
    pub(crate) on_hand: u64,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    /// The document behind it
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// Only if so many are on hand now
    #[arg(long)]
    pub(crate) expected: Option<u64>,
    /// Also below what is promised to buyers
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Makes it safe to repeat: the same key is done once
    #[arg(long)]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct AdjustStock {
    /// The SKU
    pub(crate) sku: String,
    /// Units to add; negative takes away
    #[arg(allow_negative_numbers = true)]
    pub(crate) delta: i64,
    /// Units to move from available to unavailable; negative brings them back
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) set_aside: Option<i64>,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    /// The document behind it
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// Makes it safe to repeat: the same key is done once
    #[arg(long)]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
}
