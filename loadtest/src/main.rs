//! The load harness on its own, against any server executable.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use holdfast_loadtest::causes;
use holdfast_loadtest::demo::{self, DemoConfig};

/// Simulated buyers who keep books, and a verdict from what they were told.
#[derive(Parser)]
#[command(name = "holdfast-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Holds a whole sale against a real server, which is killed in the middle. Exits 0 only if the verdict is exact.
    Demo(Demo),
}

#[derive(Args)]
struct Demo {
    /// The holdfast executable.
    #[arg(long, value_name = "FILE", default_value = "holdfast")]
    server: PathBuf,
    /// Brokers to hold the sale on, with every role as a process of its own.
    #[arg(long, value_name = "HOST:PORT,...")]
    kafka: Option<String>,
    /// An empty directory for the server's data; a temporary one by default.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many people want to buy.
    #[arg(long, default_value_t = 20_000)]
    buyers: u32,
    /// Units on the shelf.
    #[arg(long, default_value_t = 1_000)]
    units: u32,
    /// What the buyers do follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections that the buyers share.
    #[arg(long, default_value_t = 256)]
    connections: u32,
    /// How often the server is killed.
    #[arg(long, default_value_t = 1)]
    kills: u32,
    /// How long an unpaid hold lives, in seconds.
    #[arg(long, default_value_t = 3)]
    hold_ttl_s: u64,
    /// When a sale that does not sell out is given up, in seconds.
    #[arg(long, default_value_t = 180)]
    give_up_after_s: u64,
    /// Prints one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

impl Demo {
    fn config(self) -> DemoConfig {
        DemoConfig {
            kafka: self.kafka,
            data: self.data,
            buyers: self.buyers,
            units: self.units,
            seed: self.seed,
            connections: self.connections,
            kills: self.kills,
            hold_ttl: Duration::from_secs(self.hold_ttl_s),
            give_up_after: Duration::from_secs(self.give_up_after_s),
            ..DemoConfig::new(self.server)
        }
    }
}

fn main() -> ExitCode {
    let Command::Demo(demo) = Cli::parse().command;
    let json = demo.json;
    match demo::run(&demo.config()) {
        Ok(report) => match demo::show(&report, json, &mut stdout().lock()) {
            Ok(()) if report.is_exact() => ExitCode::SUCCESS,
            Ok(()) => ExitCode::FAILURE,
            Err(error) => fail(&error),
        },
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nobody is there to hear that nobody can be told.
    drop(writeln!(std::io::stderr(), "holdfast-loadtest: {}", causes(error)));
    ExitCode::FAILURE
}
