//! A running server: started on a free port, asked over HTTP, ended by its own process id.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use super::offline::PATIENCE;
use super::{Ran, holdfast, run};

/// A server process. It is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) base: String,
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) replay: bool,
}

impl Server {
    /// Starts a server and waits until it says its address.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::role(data, "up", arguments)
    }

    /// The same for a role of its own.
    pub(crate) fn role(data: &Path, role: &str, arguments: &[&str]) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.with_extension("server-log"))
            .expect("a file for its log");
        let mut child = holdfast()
            .arg("--data")
            .arg(data)
            .args([role, "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        // A server that cannot start ends, and then this ends too.
        stdout.read_line(&mut line).expect("its stdout can be read");
        let base = line.trim_end().to_owned();
        assert!(base.starts_with("http://127.0.0.1:"), "no address: {line:?}\n{}", log_of(data));
        Self { child, stdout, base }
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = i32::try_from(self.child.id()).expect("a process id");
        Pid::from_raw(id).expect("not 0")
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it is ours");
    }

    /// Waits until it has ended by itself; says its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        wait(&mut self.child).expect("the server ends").code()
    }

    /// Asks it to end; says its exit code and what else it wrote to stdout.
    pub(crate) fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(self.pid(), signal).expect("it is there");
        let code = wait(&mut self.child).expect("the server ends").code();
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).expect("text");
        (code, rest)
    }

    /// Sends a request.
    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answered {
        self.send_with_key(method, path, token, body, None)
    }

    pub(crate) fn send_with_key(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> Answered {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {token}"));
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let bytes = body.map(|it| it.to_string()).unwrap_or_default().into_bytes();
        let mut response = agent.run(request.body(bytes).expect("a request")).expect("it answers");
        let replay = response.headers().get("idempotent-replay").is_some_and(|it| it == "true");
        let text = response.body_mut().read_to_string().expect("text");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answered { status: response.status().as_u16(), body, replay }
    }

    /// Reserves units of A1.
    pub(crate) fn reserve(&self, token: &str, key: &str, quantity: u32) -> Answered {
        let body = json!({"lines": [{"sku": "A1", "quantity": quantity}]});
        self.send_with_key("POST", "/v1/reservations", token, Some(body), Some(key))
    }
}

/// Waits until a process has ended, at most for as long as anything takes.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    None
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What the server of a data directory logged.
pub(crate) fn log_of(data: &Path) -> String {
    std::fs::read_to_string(data.with_extension("server-log")).unwrap_or_default()
}

/// A token from the development keys.
pub(crate) fn token(data: &Path, subject: &str, scope: Option<&str>) -> String {
    let mut arguments = vec!["token", "--subject", subject];
    arguments.extend(scope.iter().flat_map(|scope| ["--scope", *scope]));
    let ran: Ran = run(data, &arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.trim_end().to_owned()
}

/// Opens a sale of A1 with the commands an operator would type.
pub(crate) fn open_sale(data: &Path, units: u64, terms: &str) {
    let file = data.with_extension("sale.toml");
    std::fs::write(&file, format!("id = 'spring'\nskus = ['A1']\n{terms}\n")).expect("written");
    let file = file.to_str().expect("text");
    let units = units.to_string();
    run(data, &["stock", "set", "A1", &units, "--reason", "delivery"]).json();
    run(data, &["sale", "define", file]).json();
    let opened = run(data, &["sale", "open", "spring"]).json();
    assert_eq!(opened["state"], "open", "{opened}");
}

/// A data directory in a directory of its own, so that a test's other files lie beside it.
pub(crate) fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("it can be made");
    (directory, data)
}

/// Runs `up` where it must not start.
#[track_caller]
pub(crate) fn refused(data: &Path, arguments: &[&str], exit: i32, code: &str) -> Ran {
    role_refused(data, "up", arguments, exit, code)
}

/// Runs a role where it must not start.
#[track_caller]
pub(crate) fn role_refused(data: &Path, role: &str, arguments: &[&str], exit: i32, code: &str) -> Ran {
    let anywhere: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
    let all: Vec<_> = [&[role], anywhere, arguments].concat();
    let mut command = holdfast();
    command.arg("--data").arg(data).args(["--output", "json"]).args(all);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary runs");
    // What it says fits into the pipes.
    if wait(&mut child).is_none() {
        child.kill().expect("it is there");
        panic!("it started, and should have refused with {code}: {:?}", child.wait_with_output());
    }
    let ran = Ran::of(child.wait_with_output().expect("it ended"));
    assert_eq!((ran.code, ran.stdout.as_str()), (exit, ""), "{ran:?}");
    assert_eq!(ran.problem()["code"], code, "{ran:?}");
    assert!(ran.problem()["advice"].as_str().is_some_and(|it| !it.is_empty()), "no advice: {ran:?}");
    ran
}
