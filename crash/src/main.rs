//! `holdfast-crash run`: a crash test from beginning to verdict. Talk goes to stderr, the checker's JSON object to stdout.
//!
//! Exit codes: 0 pass, 1 fail or no verdict, 3 inconclusive, 2 usage.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use holdfast_crash::run::{RunConfig, run};

/// Kills what it can while buyers buy, and has a checker judge what is left.
#[derive(Parser)]
#[command(name = "holdfast-crash", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a run and judges it.
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// How long harm is done.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    seconds: u64,
    /// Brokers: 1 or 3, or 0 for one process on the embedded log.
    #[arg(long, default_value_t = 1, value_parser = brokers)]
    brokers: u32,
    /// What schedule and traffic follow from; a random one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// An empty directory that keeps everything; otherwise only a run that did not pass is kept.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Requests per second, at most.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..=5_000))]
    rate: u64,
    /// The holdfast executable; beside this one by default.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Command::Run(arguments) = Cli::parse().command;
    let beside = |name: &str| {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name(name)
    };
    let config = RunConfig {
        server: arguments.server.unwrap_or_else(|| beside("holdfast")),
        checker: beside("holdfast-crash-check"),
        seconds: arguments.seconds,
        brokers: arguments.brokers,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..)),
        keep: arguments.keep,
        rate: arguments.rate,
    };
    match run(&config) {
        Ok(outcome) => {
            // Whoever closed stdout wants no verdict; the exit code says it all the same.
            let _ = writeln!(io::stdout(), "{}", outcome.verdict);
            ExitCode::from(outcome.judgement.exit_code())
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "crash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn brokers(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("0, 1 or 3".to_owned()),
    }
}
