//! The load generator from Debian, and what it says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_benches::pipeline::Result;

use crate::processes::output;
use crate::server::{BODY, head};

/// Where the key goes in the head of a request.
const KEY: &str = "@key@";

/// The same POST to whoever listens, each with a key of its own.
#[derive(Debug)]
pub(crate) struct Wrk {
    script: PathBuf,
    runs: u32,
}

/// What one run came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Answers that were not 2xx or 3xx, and connections that failed.
    pub(crate) failed: u64,
}

impl Wrk {
    /// Writes the script. Requests take turns with the tokens.
    pub(crate) fn new(directory: &Path, tokens: &[String]) -> Result<Self> {
        let script = directory.join("reserve.lua");
        std::fs::write(&script, lua(tokens))?;
        Ok(Self { script, runs: 0 })
    }

    /// Loads an address over so many connections.
    pub(crate) fn run(&mut self, address: SocketAddr, connections: u32, seconds: u64) -> Result<Load> {
        self.runs += 1;
        let mut command = Command::new("wrk");
        command.args(["-t2", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s")]);
        command.arg("-s").arg(&self.script);
        command.args([&format!("http://{address}/v1/reservations"), "--", &self.runs.to_string()]);
        parse(&output(&mut command)?)
    }
}

fn lua(tokens: &[String]) -> String {
    let heads = tokens.iter().map(|token| {
        let head = head("POST", "/v1/reservations", token, KEY, BODY.len());
        let (before, _) = head.split_once(KEY).unwrap_or((&head, ""));
        format!("  {before:?},\n")
    });
    let heads: String = heads.collect();
    format!(
        "local heads = {{\n{heads}}}\nlocal tail = {:?}\nlocal threads, count, stem = 0, 0, ''\n\
         function setup(thread)\n  thread:set('number', threads)\n  threads = threads + 1\nend\n\
         function init(args)\n  stem = 'bench-' .. args[1] .. '-' .. number .. '-'\nend\n\
         function request()\n  count = count + 1\n  return heads[count % #heads + 1] .. stem .. count .. tail\nend\n",
        format!("\r\n\r\n{BODY}")
    )
}

fn parse(text: &str) -> Result<Load> {
    let after = |name: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(name))?;
        Some(line[name.len()..].split_whitespace().collect::<Vec<_>>())
    };
    let missing = |what: &str| format!("wrk did not say its {what}: {text}");
    let latency = |name: &str| after(name)?.first().copied().and_then(milliseconds);
    let counted = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let numbers = |name: &str| {
        let words = after(name).unwrap_or_default();
        words.iter().filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok()).sum::<u64>()
    };
    Ok(Load {
        requests: counted.ok_or_else(|| missing("requests"))?,
        per_second: after("Requests/sec:")
            .and_then(|words| words.first()?.parse().ok())
            .ok_or_else(|| missing("rate"))?,
        p50_ms: latency("50%").ok_or_else(|| missing("median"))?,
        p99_ms: latency("99%").ok_or_else(|| missing("99th percentile"))?,
        max_ms: after("Latency")
            .into_iter()
            .find_map(|words| milliseconds(words.get(2)?))
            .ok_or_else(|| missing("longest latency"))?,
        failed: numbers("Non-2xx or 3xx responses:") + numbers("Socket errors:"),
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    units.into_iter().find_map(|(unit, scale)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * scale)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Running 6s test @ http://127.0.0.1:4000/v1/reservations
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms    1.11ms  30.10ms   90.00%
    Req/Sec    33.19k     2.11k   40.02k    71.00%
  Latency Distribution
     50%  635.00us
     75%    1.20ms
     90%    2.20ms
     99%    5.01ms
  397000 requests in 6.01s, 120.00MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:  66056.20
Transfer/sec:     19.97MB
";

    #[test]
    fn what_wrk_says_is_understood() {
        let load = parse(SAID).expect("understood");
        let expected = Load {
            requests: 397_000,
            per_second: 66_056.2,
            p50_ms: 0.635,
            p99_ms: 5.01,
            max_ms: 30.1,
            failed: 11,
        };
        assert_eq!(load, expected);
        assert!(parse("unable to connect").is_err());
    }

    #[test]
    fn every_request_of_the_script_has_a_key_of_its_own() {
        let script = lua(&["first".to_owned(), "second".to_owned()]);
        assert!(script.contains("Bearer first") && script.contains("Bearer second"), "{script}");
        assert!(!script.contains(KEY) && script.contains("Idempotency-Key: \""), "{script}");
    }
}
