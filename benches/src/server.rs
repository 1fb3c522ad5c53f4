//! A server under test: started from the binary that people run, asked over HTTP like by anybody.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use serde_json::Value;

use crate::processes::{Running, output, sibling};

/// What is sold.
pub(crate) const SKU: &str = "SNEAKER-42";
/// The body of every request.
pub(crate) const BODY: &str = r#"{"lines":[{"sku":"SNEAKER-42","quantity":1}]}"#;

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// `holdfast up` on a free port.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    address: SocketAddr,
    data: PathBuf,
    binary: PathBuf,
}

impl Server {
    /// Starts all of it in one process on an empty directory, and waits until it is ready.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        Self::launch("up", None, directory.join("data"))
    }

    /// Starts a part of it, with a settings file if there is one, and waits until it says where it listens.
    pub(crate) fn launch(role: &str, settings: Option<&Path>, data: PathBuf) -> Result<Self> {
        let binary = sibling("holdfast")?;
        std::fs::create_dir_all(data.parent().ok_or("a data directory without a parent")?)?;
        let mut command = Command::new(&binary);
        command.args([role, "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        if let Some(settings) = settings {
            command.arg("--config").arg(settings);
        }
        let talk = data.with_extension("log");
        let mut running = Running::start(command.env_remove("HOLDFAST_CONFIG"), &talk)?;
        let found = running.first_line(|line| line.rsplit('/').next()?.trim().parse().ok());
        let address = found.map_err(|error| {
            let said = std::fs::read_to_string(&talk).unwrap_or_default();
            format!("{error}: {}", said.lines().last().unwrap_or_default())
        })?;
        Ok(Self { running, address, data, binary })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A token for somebody.
    pub(crate) fn token(&self, subject: &str, scope: Option<&str>) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(["token", "--subject", subject, "--data"]).arg(&self.data);
        command.args(scope.iter().flat_map(|scope| ["--scope", scope]));
        Ok(output(command.env_remove("HOLDFAST_CONFIG"))?.trim().to_owned())
    }

    /// Brings so many units and opens a sale without a limit per customer, with holds of ten minutes.
    pub(crate) fn open_sale(&self, units: u64) -> Result<()> {
        self.open_sale_with(units, 600_000)
    }

    /// The same with holds of so many milliseconds.
    pub(crate) fn open_sale_with(&self, units: u64, hold_ttl_ms: u64) -> Result<()> {
        let admin = self.token("operator", Some("admin"))?;
        let mut client = Client::connect(self.address)?;
        let stock = format!(r#"{{"on_hand":{units},"reason":"bench"}}"#);
        let terms = format!(r#"{{"skus":["{SKU}"],"hold_ttl_ms":{hold_ttl_ms}}}"#);
        let steps = [
            ("PUT", format!("/v1/admin/skus/{SKU}/stock"), stock.as_str()),
            ("PUT", "/v1/admin/sales/bench".to_owned(), terms.as_str()),
            ("POST", "/v1/admin/sales/bench/open".to_owned(), "{}"),
        ];
        for (nr, (method, path, body)) in steps.into_iter().enumerate() {
            let head = head(method, &path, &admin, &format!("opening-{nr}"), body.len());
            let answer = client.ask(&format!("{head}{body}"))?;
            if !(200..300).contains(&answer.status) {
                return Err(format!("{method} {path} was answered {}: {}", answer.status, answer.body).into());
            }
        }
        Ok(())
    }

    /// Units that are not free any more, once nothing is under way.
    pub(crate) fn taken(&self) -> Result<u64> {
        let mut last = None;
        for _ in 0..100 {
            let token = self.token("reader", None)?;
            let head = head("GET", &format!("/v1/skus/{SKU}/availability"), &token, "", 0);
            let answer = Client::connect(self.address)?.ask(&head)?;
            let body: Value = serde_json::from_str(&answer.body)?;
            let number = |key: &str| body[key].as_u64().ok_or_else(|| format!("no {key} in {body}"));
            let taken = number("held")? + number("committed")?;
            if last == Some(taken) {
                return Ok(taken);
            }
            last = Some(taken);
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the stock does not come to rest".into())
    }

    /// What it says of itself to operators.
    pub(crate) fn status(&self) -> Result<Value> {
        let answer = Client::connect(self.address)?.ask("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        Ok(serde_json::from_str(&answer.body)?)
    }

    /// Waits until what it says of its only partition is as wanted.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + 10 * PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            // One that does not answer is on its way up.
            if let Ok(status) = self.status() {
                last = status["partitions"][0].clone();
                if wanted(&last) {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("waited in vain for {what}: {last}").into())
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(self) -> Result<()> {
        self.running.kill()
    }

    /// Memory that it has in use (RSS), in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.running.memory()
    }

    /// Processor time it has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.running.cpu()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        !self.running.has_ended()
    }
}

/// The head of a request, up to its body.
pub(crate) fn head(method: &str, path: &str, token: &str, key: &str, body_bytes: usize) -> String {
    let key = if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") };
    let body = if body_bytes == 0 {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n")
    };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{body}{key}\r\n")
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A connection that stays open.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &str) -> Result<Answer> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("not an answer: {line:?}"))?;
        let mut body_bytes = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the connection was closed in the middle of an answer".into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse()?;
            }
        }
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body: String::from_utf8(body)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn one_connection_carries_several_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut request = [0; 1024];
            for _ in 0..2 {
                let read = stream.read(&mut request).expect("a request");
                assert!(request[..read].starts_with(b"GET /x HTTP/1.1\r\n"));
                stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nhi").expect("sent");
            }
        });
        let mut client = Client::connect(address).expect("connected");
        for _ in 0..2 {
            let answer = client.ask(&head("GET", "/x", "t", "", 0)).expect("an answer");
            assert_eq!((answer.status, answer.body.as_str()), (201, "hi"));
        }
        served.join().expect("no panic");
        assert!(client.ask(&head("GET", "/x", "t", "", 0)).is_err());
    }

    #[test]
    fn a_head_says_how_long_the_body_is() {
        let head = head("POST", "/v1/reservations", "t", "k", BODY.len());
        assert!(head.contains(&format!("Content-Length: {}\r\n", BODY.len())));
        assert!(head.contains("Idempotency-Key: k\r\n") && head.ends_with("\r\n\r\n"));
    }
}
