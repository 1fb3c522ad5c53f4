//! Reservations over HTTP: decided and durable, next to nginx that answers 200 to the same POST and does nothing else.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_benches::clock::median;
use holdfast_benches::pipeline::Result;

use crate::group::Setup;
use crate::processes::Running;
use crate::row::{Goal, Measured, Row};
use crate::server::{BODY, Client, Server, head};
use crate::wrk::{Load, Wrk};

pub(crate) const ROWS: &[&str] =
    &["http_64_requests", "http_64_p99", "http_512_requests", "http_512_p99", "http_stock_exact"];

const PEER: &str = "nginx, return 200";
pub(crate) const CONNECTIONS: [u32; 2] = [64, 512];
/// More than any run can take.
pub(crate) const UNITS: u64 = 1 << 36;
/// Buyers that take turns.
pub(crate) const BUYERS: u32 = 16;
/// An answer that took this long may have been a 202.
const WAIT_BUDGET_MS: f64 = 2_000.0;

/// nginx in the foreground, with as many workers as there are cores.
pub(crate) fn nginx(directory: &Path) -> Result<(Running, SocketAddr)> {
    let own = directory.join("nginx");
    std::fs::create_dir_all(&own)?;
    // Free now; nobody else here takes one by number.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places: String =
        kinds.iter().map(|kind| format!("  {kind}_temp_path {}/{kind};\n", own.display())).collect();
    let config = format!(
        "daemon off;\nworker_processes auto;\npid {0}/pid;\nerror_log {0}/errors crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n{places}  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n  \
         server {{\n    listen {address} reuseport;\n    location / {{ return 200; }}\n  }}\n}}\n",
        own.display()
    );
    let file = own.join("nginx.conf");
    std::fs::write(&file, config)?;
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("nginx");
    command.env("PATH", path).arg("-c").arg(&file).arg("-p").arg(&own).arg("-e").arg(own.join("errors"));
    let mut running = Running::start(&mut command, &own.join("talk"))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        if running.has_ended() || Instant::now() > deadline {
            let said = std::fs::read_to_string(own.join("talk")).unwrap_or_default();
            return Err(format!("nginx does not listen: {}", said.trim()).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((running, address))
}

/// Runs of both, and what the stock says.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) ours: Vec<Load>,
    pub(crate) peers: Vec<Load>,
    /// Units taken beyond the answers counted: requests under way when the load ended. At most one per connection.
    unheard: u64,
    /// Processor time of the server.
    cpu: Duration,
}

/// One run against the server, with a look at the stock before and after.
pub(crate) fn load_server(
    server: &mut Server,
    wrk: &mut Wrk,
    connections: u32,
    seconds: u64,
    runs: &mut Runs,
) -> Result<()> {
    let (before, cpu) = (server.taken()?, server.cpu()?);
    let load = wrk.run(server.address(), connections, seconds)?;
    if !server.is_running() {
        return Err("the server has ended".into());
    }
    runs.cpu += server.cpu()?.saturating_sub(cpu);
    let taken = server.taken()? - before;
    if load.failed > 0 {
        return Err(format!("{} of {} requests failed", load.failed, load.requests).into());
    }
    if load.max_ms >= WAIT_BUDGET_MS {
        return Err(format!("an answer took {} ms and may have been a 202", load.max_ms).into());
    }
    if taken < load.requests || taken > load.requests + u64::from(connections) {
        return Err(format!("{} answers of 201, but {taken} units are taken", load.requests).into());
    }
    runs.unheard = runs.unheard.max(taken - load.requests);
    runs.ours.push(load);
    Ok(())
}

/// Buyers that hear every answer: as many units must be gone as answers were 201.
fn exact(server: &Server, tokens: &[String], each: u32) -> Result<Row> {
    let before = server.taken()?;
    let buyers = tokens.iter().enumerate().map(|(buyer, token)| {
        let (token, address) = (token.clone(), server.address());
        std::thread::spawn(move || -> Result<u64> {
            let (mut client, mut created) = (Client::connect(address)?, 0);
            for nr in 0..each {
                let head =
                    head("POST", "/v1/reservations", &token, &format!("exact-{buyer}-{nr}"), BODY.len());
                let answer = client.ask(&format!("{head}{BODY}"))?;
                created += u64::from(answer.status == 201);
            }
            Ok(created)
        })
    });
    let buyers: Vec<_> = buyers.collect();
    let mut created = 0;
    for buyer in buyers {
        created += buyer.join().map_err(|_| "a buyer panicked")??;
    }
    let taken = server.taken()? - before;
    let asked = u64::from(each) * tokens.len() as u64;
    Ok(Measured::new("http_stock_exact", taken as f64, "units taken")
        .peer("answers of 201", created as f64)
        .with("requests", asked)
        .provided(created == asked && taken == created)
        .goals(&[Goal::TimesPeerAtLeast(1.0), Goal::TimesPeerAtMost(1.0)]))
}

fn rows(names: [&'static str; 2], runs: &Runs, goal: Goal) -> [Row; 2] {
    let middle = |loads: &[Load], of: fn(&Load) -> f64| {
        median(&loads.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
    };
    let of = |of: fn(&Load) -> f64| (middle(&runs.ours, of), middle(&runs.peers, of));
    let (ours, peers) = of(|load| load.per_second);
    let answers: u64 = runs.ours.iter().map(|load| load.requests).sum();
    let requests = Measured::new(names[0], ours, "requests/s")
        .peer(PEER, peers)
        .with("answers_of_201", answers)
        .with("server_cpu_us_per_request", runs.cpu.as_micros() as f64 / answers as f64)
        .with("units_taken_by_requests_cut_off_at_the_end", runs.unheard)
        .with("runs", runs.ours.len())
        .goals(&[Goal::TimesPeerAtLeast(0.6)]);
    let (ours, peers) = of(|load| load.p99_ms);
    let (p50, peers_p50) = of(|load| load.p50_ms);
    let p99 = Measured::new(names[1], ours, "ms")
        .peer(PEER, peers)
        .with("p50", p50)
        .with("p50_of_the_peer", peers_p50)
        .with("longest", runs.ours.iter().map(|load| load.max_ms).fold(0.0, f64::max))
        .goals(&[goal]);
    [requests, p99]
}

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Row>> {
    let seconds = setup.size(6, 1);
    let mut server = Server::start(&setup.directory)?;
    server.open_sale(UNITS)?;
    let (_nginx, nginx_address) = nginx(&setup.directory)?;
    let tokens =
        (0..BUYERS).map(|nr| server.token(&format!("buyer-{nr}"), None)).collect::<Result<Vec<_>>>()?;
    let mut wrk = Wrk::new(&setup.directory, &tokens)?;
    let mut runs = [Runs::default(), Runs::default()];
    // Warm up, both.
    wrk.run(server.address(), 64, 1)?;
    wrk.run(nginx_address, 64, 1)?;
    for round in 0..setup.size(3, 1) {
        for (connections, runs) in CONNECTIONS.into_iter().zip(&mut runs) {
            let first = round % 2 == 0;
            if first {
                load_server(&mut server, &mut wrk, connections, seconds, runs)?;
            }
            runs.peers.push(wrk.run(nginx_address, connections, seconds)?);
            if !first {
                load_server(&mut server, &mut wrk, connections, seconds, runs)?;
            }
        }
    }
    let few = rows([ROWS[0], ROWS[1]], &runs[0], Goal::AbovePeerAtMost(2.0));
    let many = rows([ROWS[2], ROWS[3]], &runs[1], Goal::TimesPeerAtMost(2.0));
    let exact = exact(&server, &tokens, if setup.quick { 50 } else { 500 })?;
    Ok(few.into_iter().chain(many).chain([exact]).collect())
}
