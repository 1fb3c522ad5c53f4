//! Load tests by the binary, against a server that it starts itself and does something to.

#[path = "../kit/mod.rs"]
mod kit;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kit::run;
use rustix::fs::statvfs;
use serde_json::Value;
use tempfile::TempDir;

/// Room for the log of a short run.
const DISK_BYTES: u64 = 256 << 20;

/// A run of this scenario against a server of its own.
struct Run {
    directory: TempDir,
    scenario: PathBuf,
}

impl Run {
    fn new(fault: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let scenario = directory.path().join("short.toml");
        let text = format!(
            "connections = 32\n[sale]\nunits = 3000\n[buyers]\ncustomers = 5000\n\
             [[stage]]\nduration_ms = 4000\nrate = 500\n{fault}"
        );
        fs::write(&scenario, text).expect("written");
        Self { directory, scenario }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, more: &[&str]) -> kit::Ran {
        let (scenario, out) = (self.scenario.display().to_string(), self.path("out").display().to_string());
        let arguments = ["loadtest", "run", &scenario, "--start", "--out", &out, "--no-live", "--json"];
        run(&self.path("nobody"), &[&arguments, more].concat())
    }
}

/// The only fault of a run that went well.
#[track_caller]
fn only_fault(results: &Value) -> (f64, f64) {
    assert_eq!(results["verdict"], "pass", "{}", results["checks"]);
    let faults = results["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (at, until) = (faults[0]["at_s"].as_f64(), faults[0]["until_s"].as_f64());
    (at.expect("a number"), until.unwrap_or_else(|| panic!("it is not over: {faults:?}")))
}

/// The page that the run leaves knows what was done.
#[track_caller]
fn is_on_the_page(run: &Run, what: &str) {
    let page = fs::read_to_string(run.path("out").join("report.html")).expect("a report");
    assert!(page.contains(what), "{what} is not on the page");
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_run_comes_back_and_nothing_is_wrong() {
    let run = Run::new("[[fault]]\nat_ms = 1500\nkind = 'kill'\n");
    let ran = run.run(&[]);
    let results = ran.json();
    let (at, until) = only_fault(&results);
    assert!((1.5..4.0).contains(&at) && until > at, "{results}");
    assert_eq!(results["faults"][0]["what"], "kill -9 of the server");
    is_on_the_page(&run, "kill -9 of the server");
    assert_ne!(results["requests"]["broken"], 0, "nobody noticed: {}", results["requests"]);
    assert!(ran.stderr.contains("fault: kill -9 of the server"), "{ran:?}");
    assert!(ran.stderr.contains("over: kill -9 of the server"), "{ran:?}");
    assert!(!ran.stderr.contains("data stay in"), "{ran:?}");
    assert_eq!(results["generator"]["warnings"].to_string().matches("good order").count(), 0, "{results}");
}

#[test]
fn a_fault_that_cannot_be_done_is_refused_before_the_run() {
    let run = Run::new("[[fault]]\nat_ms = 1500\nkind = 'kill'\nrole = 'broker'\n");
    let ran = run.run(&[]);
    assert_eq!(ran.code, 104, "{ran:?}");
    let said = ran.problem().to_string();
    assert!(said.contains("--process broker=PID"), "{said}");
    assert!(!run.path("out").exists(), "something was begun");
}

/// A file system in memory. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing if this process may not mount any.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).expect("it can be made");
        let options = format!("size={DISK_BYTES},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|it| it.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|it| it.success()) || std::thread::panicking(), "it stays mounted");
    }
}

/// Where nothing can be mounted, it is seen at least that a disk that is no test's own is not filled.
#[test]
fn a_disk_is_filled_and_freed_if_it_is_one_in_memory() {
    let run = Run::new("[[fault]]\nat_ms = 1500\nkind = 'fill-disk'\nfor_ms = 700\n");
    let ran = run.run(&["--start-data", "/proc/nobody"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    let at = run.path("disk");
    let Some(_disk) = SmallDisk::mount(&at) else { return };
    let free = || statvfs(&at).expect("it is mounted").f_bavail;
    let (was_full, ran) = std::thread::scope(|scope| {
        let ran = scope.spawn(|| run.run(&["--start-data", at.to_str().expect("text")]));
        let mut was_full = false;
        while !ran.is_finished() {
            was_full |= free() == 0;
            std::thread::park_timeout(Duration::from_millis(20));
        }
        (was_full, ran.join().expect("it comes to an end"))
    });
    assert!(was_full && free() > 0, "{ran:?}");
    let results = ran.json();
    let (begun, over) = only_fault(&results);
    assert!(over - begun >= 0.7, "{results}");
    is_on_the_page(&run, "disk full");
    assert!(at.join("log").is_dir(), "data in a directory that was named stay");
}

#[test]
fn a_run_goes_on_to_the_end_of_its_last_stage_and_comes_as_a_sheet() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let scenario = directory.path().join("quiet.toml");
    let stages = "[after]\nconfirm = 0.0\n[[stage]]\nduration_ms = 1000\nrate = 200\n[[stage]]\nduration_ms = 2000\nrate = 0\n";
    fs::write(&scenario, stages).expect("written");
    let scenario = scenario.display().to_string();
    let asked = ["loadtest", "run", &scenario, "--start", "--no-files", "--no-live", "--output", "csv"];
    let ran = run(&directory.path().join("nobody"), &asked);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("second,due,sent,"), "{ran:?}");
    assert!(lines[1].starts_with("0,") && lines[3].starts_with("2,0,0,0,"), "{ran:?}");
}

#[test]
fn an_interface_that_never_answers_gets_no_verdict() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let scenario = directory.path().join("api.toml");
    let text = "[api]\npath = '/buy'\ngranted = [200]\n[client]\nretries = 0\n[[stage]]\nduration_ms = 300\nrate = 100\n";
    fs::write(&scenario, text).expect("written");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let (scenario, server) = (scenario.display().to_string(), format!("http://{nobody}"));
    let asked = ["loadtest", "run", &scenario, "--server", &server, "--no-files", "--no-live"];
    let ran = run(&directory.path().join("nobody"), &asked);
    assert_eq!(ran.code, 69, "{ran:?}");
    assert!(ran.stderr.contains("does not answer") && ran.stdout.is_empty(), "{ran:?}");
}
