//! Holdfast: decides who gets the last units of a flash sale. One binary; `holdfast --help` lists what it does.
//!
//! This crate wires the rooms together. What is decided is decided below.

mod bounded;
mod checkpoints;
mod cli;
mod client;
mod config;
mod control_key;
mod data;
mod demo;
mod dlq;
mod doctor;
mod explain;
mod failure;
mod id_key;
mod live;
mod loadtest;
mod logging;
mod output;
mod replay;
mod roles;
mod sale;
mod stock;
mod token;
mod topics;
mod up;
mod version;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command, Common};
use client::{Client, Reach};
use config::Loaded;
use data::DataDir;
use failure::Failure;
use holdfast_loadtest::demo::DemoConfig;
use output::Output;

fn main() -> ExitCode {
    let Cli { command, common } = Cli::parse();
    let mut output = Output { format: common.output, quiet: common.quiet };
    if matches!(command, Command::Up(_) | Command::Sequencer(_) | Command::Intake(_)) {
        holdfast_memory::give_large_blocks_back();
        if !std::io::stderr().is_terminal() {
            // A server's stderr is its log, which is JSON to the last line.
            output.format = output::Format::Json;
        }
    }
    match run(&command, &common, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(command: &Command, common: &Common, output: Output) -> Result<(), Failure> {
    let loaded = || settings(common);
    let data = || settings(common).map(|loaded| DataDir::new(loaded.config.data_dir));
    match command {
        Command::Up(flags) => up::run(&with_flags(loaded()?, flags)),
        Command::Sequencer(flags) => {
            let loaded = loaded()?;
            roles::sequencer(&loaded, flags.listen.unwrap_or(loaded.config.roles.operators_listen))
        }
        Command::Intake(flags) => roles::intake(&with_flags(loaded()?, flags)),
        Command::Topics(command) => topics::run(command, &loaded()?, output),
        Command::Drain => roles::drain(&data()?, output),
        Command::Dlq(command) => dlq::run(command, &loaded()?, output),
        Command::Checkpoints(command) => checkpoints::run(command, &loaded()?, output),
        Command::Sale(command) => sale(command, &loaded()?, output),
        Command::Stock(command) => stock(command, &loaded()?, output),
        Command::Explain { id } => explain::run(&data()?, id, output),
        Command::Replay { partition } => replay::run(&data()?, *partition, output),
        Command::Doctor { listen, partitions } => {
            let mut loaded = loaded()?;
            loaded.config.intake.listen = listen.unwrap_or(loaded.config.intake.listen);
            loaded.partitions_asked = partitions.or(loaded.partitions_asked);
            doctor::run(&doctor::Subject::of(&loaded), output)
        }
        Command::Token(it) => token::run(&loaded()?, &it.subject, &it.scope, it.ttl),
        Command::ControlKey(cli::ControlKey::Create) => control_key::create(&loaded()?.config, output),
        Command::ControlKey(cli::ControlKey::Show) => control_key::show(&loaded()?.config, output),
        Command::AcceptIdKey { yes } => id_key::accept(&loaded()?, *yes, output),
        Command::Demo(it) => demo::run(&demo_config(it, common)?, it.json, output),
        Command::Loadtest(it) => loadtest::run(it, &loaded()?, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "holdfast", &mut script);
            output::data(String::from_utf8_lossy(&script).trim_end())
        }
        Command::Version => version::run(output),
    }
}

/// The settings, as the file and the flags that all commands have say them.
fn settings(common: &Common) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::read(common.config.as_deref())?;
    if let Some(data) = &common.data {
        loaded.config.data_dir.clone_from(data);
    }
    Ok(loaded)
}

fn with_flags(mut loaded: Loaded, up: &cli::Up) -> Loaded {
    loaded.config.production |= up.production;
    loaded.partitions_asked = up.partitions.or(loaded.partitions_asked);
    loaded.config.intake.listen = up.listen.unwrap_or(loaded.config.intake.listen);
    loaded
}

fn demo_config(flags: &cli::Demo, common: &Common) -> Result<DemoConfig, Failure> {
    let usual = DemoConfig::new(demo::this_executable()?);
    Ok(DemoConfig {
        data: common.data.clone(),
        buyers: flags.buyers.unwrap_or(usual.buyers),
        units: flags.units.unwrap_or(usual.units),
        seed: flags.seed.unwrap_or(usual.seed),
        connections: flags.connections.unwrap_or(usual.connections),
        kills: flags.kills.unwrap_or(usual.kills),
        hold_ttl: flags.hold_ttl.unwrap_or(usual.hold_ttl),
        give_up_after: flags.give_up_after.unwrap_or(usual.give_up_after),
        kafka: flags.kafka.clone(),
        ..usual
    })
}

fn client(server: &cli::Server, loaded: &Loaded) -> Result<Client, Failure> {
    let reach = Reach { server: server.server.clone(), token: server.token.clone(), timeout: server.timeout };
    Client::new(&reach, loaded)
}

fn sale(command: &cli::Sale, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    use sale::Change;
    // As the log has them, if it is at hand.
    let identity = DataDir::new(&loaded.config.data_dir).identity()?;
    let partitions = identity.map_or(loaded.config.partitions.get(), |it| it.partitions);
    let change = |id: &str, server, change| sale::change(&client(server, loaded)?, id, &change, output);
    match command {
        cli::Sale::Validate { file } => sale::validate(file, partitions, output),
        cli::Sale::Define { file, server } => {
            sale::define(&client(server, loaded)?, file, partitions, output)
        }
        cli::Sale::Open { id, server } => change(id, server, Change::Open),
        cli::Sale::Pause { id, freeze_ttl, server } => {
            change(id, server, Change::Pause { freeze_ttl: *freeze_ttl })
        }
        cli::Sale::Close { id, yes, server } => change(id, server, Change::Close { yes: *yes }),
        cli::Sale::Status { id, server } => change(id, server, Change::Status),
    }
}

fn stock(command: &cli::Stock, loaded: &Loaded, output: Output) -> Result<(), Failure> {
    match command {
        cli::Stock::Set(it) => stock::set(&client(&it.server, loaded)?, it, output),
        cli::Stock::Adjust(it) => stock::adjust(&client(&it.server, loaded)?, it, output),
        cli::Stock::Show { sku, server } => stock::show(&client(server, loaded)?, sku, output),
    }
}
