//! A bare server to point a load generator at: the embedded log, the sequencer and the HTTP interface in one process.
//!
//! `cargo run --release -p holdfast-intake --example serve -- DIRECTORY [UNITS] [PARTITIONS] [SETTINGS.toml]` opens a sale of `A1` and
//! prints the address and a token, one per line, on standard output. It ends when its standard input does.
#![allow(clippy::print_stdout, reason = "the address and the token are what it is for")]

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_contracts::PartitionId;
use holdfast_core::{Machine, MachineConfig};
use holdfast_engine::{Sequencer, SequencerConfig, WorkerConfig, rocks::CheckpointDb};
use holdfast_intake::keys::DevelopmentKeys;
use holdfast_intake::{Intake, IntakeConfig};
use holdfast_log::{EmbeddedConfig, EmbeddedLog, Layout, OrderedLog};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let units: u64 = arguments.next().map_or(Ok(1_000_000_000), |text| text.parse())?;
    let partitions: u32 = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let log: Arc<dyn OrderedLog> = {
        let config = EmbeddedConfig::new(Layout::inventory(partitions)?);
        Arc::new(EmbeddedLog::open(&directory.join("log"), &config)?)
    };
    let db = Arc::new(CheckpointDb::open(&directory.join("checkpoints"))?);
    let worker = |it| {
        let partition = PartitionId(it);
        (WorkerConfig::new(partition), MachineConfig::new(partition, partitions, log.log_id()))
    };
    let engine =
        SequencerConfig { partitions: (0..partitions).map(worker).collect(), threads: 1, standby: false };
    let sequencer: Arc<Sequencer<Machine>> =
        Arc::new(Sequencer::start(&log, &engine, move |partition| db.partition(partition)));
    let data_dir = directory.join("data");
    let settings = arguments.next().map_or(Ok(String::new()), std::fs::read_to_string)?;
    let config = IntakeConfig { listen: ([127, 0, 0, 1], 0).into(), data_dir, ..toml::from_str(&settings)? };
    let keys = DevelopmentKeys::open_or_create(&config.data_dir)?;
    let intake = Intake::start(Arc::clone(&log), Arc::clone(&sequencer), config)?;
    if !intake.wait_until_ready(Duration::from_secs(60)) {
        return Err("the server did not get ready".into());
    }
    let day = Duration::from_secs(86_400);
    let admin = keys.issue("operator", &["admin"], day);
    let stock = format!(r#"{{"on_hand":{units},"reason":"load"}}"#);
    ask(&intake, &admin, "PUT", "/v1/admin/skus/A1/stock", &stock)?;
    ask(&intake, &admin, "PUT", "/v1/admin/sales/load", r#"{"skus":["A1"]}"#)?;
    ask(&intake, &admin, "POST", "/v1/admin/sales/load/open", "")?;
    println!("http://{}\n{}", intake.local_addr(), keys.issue("buyer", &[], day));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    intake.shutdown(Duration::from_secs(5));
    sequencer.stop(Duration::from_secs(30));
    log.close();
    Ok(())
}

fn ask(
    intake: &Intake,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    let mut stream = TcpStream::connect(intake.local_addr())?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: local\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.into()) }
}
