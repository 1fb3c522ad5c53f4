use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::run::{Credentials, RunConfig, Start};
use crate::scenario::{Fault, read};

/// Nothing waits that long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does nothing but wait. Killed when dropped.
struct Stub(Child);

impl Stub {
    fn new() -> Self {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Self(child.unwrap())
    }

    fn state(&self) -> char {
        state(self.0.id()).expect("nobody has waited for it")
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The state of a process, as the system says it.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn faults(text: &str) -> Vec<Fault> {
    let text = format!("[[stage]]\nduration_ms = 3600000\n{text}");
    read("test", &text).unwrap_or_else(|error| panic!("{error}")).faults
}

fn config(processes: &[(&str, u32)], restarts: &[(&str, &str)]) -> RunConfig {
    RunConfig {
        processes: processes.iter().map(|(name, pid)| ((*name).to_owned(), *pid)).collect(),
        restarts: restarts.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect(),
        ..RunConfig::new("test", "127.0.0.1:1", Credentials::None)
    }
}

fn started(text: &str, config: &RunConfig) -> Faults {
    Plan::new(&faults(text), config, None).unwrap().start(Stopwatch::start())
}

const FROZEN: &str = "[[fault]]\nat_ms = 0\nkind = 'freeze'\nrole = 'stub'\nfor_ms = 3600000\n";
const KILLED: &str = "[[fault]]\nat_ms = 0\nkind = 'kill'\nrole = 'stub'\n";

#[test]
fn whoever_is_frozen_goes_on_when_the_run_is_over() {
    let stub = Stub::new();
    let mut faults = started(FROZEN, &config(&[("stub", stub.0.id())], &[]));
    wait_for("the process to stand still", || stub.state() == 'T');
    wait_for("the mark", || faults.marks().unwrap().len() == 1);
    assert_eq!(faults.marks().unwrap()[0].until_s, None);
    assert!(faults.finish().unwrap(), "it was not away for long");
    wait_for("the process to go on", || stub.state() != 'T');
    let marks = faults.marks().unwrap();
    assert_eq!(marks[0].what, "stub frozen");
    assert!(marks[0].until_s.is_some_and(|until| until >= marks[0].at_s), "{marks:?}");
}

#[test]
fn whoever_is_frozen_goes_on_when_the_run_fails() {
    let stub = Stub::new();
    let faults = started(FROZEN, &config(&[("stub", stub.0.id())], &[]));
    wait_for("the process to stand still", || stub.state() == 'T');
    drop(faults);
    wait_for("the process to go on", || stub.state() != 'T');
}

#[test]
fn whoever_is_frozen_goes_on_when_it_is_time() {
    let stub = Stub::new();
    let text = FROZEN.replace("3600000", "50");
    let mut faults = started(&text, &config(&[("stub", stub.0.id())], &[]));
    wait_for("the end of it", || faults.marks().unwrap().iter().any(|it| it.until_s.is_some()));
    wait_for("the process to go on", || stub.state() != 'T');
    let mark = faults.marks().unwrap()[0].clone();
    assert!(mark.until_s.unwrap() - mark.at_s >= 0.05, "{mark:?}");
}

#[test]
fn nothing_is_done_before_its_time() {
    let stub = Stub::new();
    let text = FROZEN.replace("at_ms = 0", "at_ms = 1800000");
    let mut faults = started(&text, &config(&[("stub", stub.0.id())], &[]));
    assert!(faults.finish().unwrap());
    assert_eq!(faults.marks().unwrap(), []);
    assert_ne!(stub.state(), 'T');
}

#[test]
fn a_process_without_a_command_stays_dead_and_was_away_since() {
    let mut stub = Stub::new();
    let mut faults = started(KILLED, &config(&[("stub", stub.0.id())], &[]));
    wait_for("the mark", || faults.marks().unwrap().len() == 1);
    assert_eq!(stub.0.wait().unwrap().signal(), Some(9));
    faults.watch = Stopwatch::starting_at(Instant::now().checked_sub(AWAY_MAX * 2).unwrap());
    assert!(!faults.finish().unwrap(), "it was away for longer than clocks are trusted");
    assert_eq!(faults.marks().unwrap()[0].until_s, None);
}

#[test]
fn a_killed_process_is_started_again_by_its_command_and_can_be_killed_again() {
    let mut stub = Stub::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    // The reading end of a pipe that nobody writes to, until it is killed.
    let command =
        format!("mkfifo {0}.pipe 2>/dev/null; echo $$ >> {0}; exec cat <> {0}.pipe", file.display());
    let again = KILLED.replace("at_ms = 0", "at_ms = 1");
    let text = format!("{KILLED}{again}");
    let config = config(&[("stub", stub.0.id())], &[("stub", &command)]);
    // Both are due already.
    let watch = Stopwatch::starting_at(Instant::now().checked_sub(Duration::from_secs(1)).unwrap());
    let mut faults = Plan::new(&faults(&text), &config, None).unwrap().start(watch);
    wait_for("the end of both", || {
        faults.marks().unwrap().iter().filter(|it| it.until_s.is_some()).count() == 2
    });
    assert_eq!(stub.0.wait().unwrap().signal(), Some(9));
    let pids = || fs::read_to_string(&file).unwrap_or_default();
    wait_for("the second one", || pids().lines().count() == 2);
    let pids: Vec<u32> = pids().lines().map(|it| it.parse().unwrap()).collect();
    assert_eq!(state(pids[0]), None, "it was killed and taken note of");
    assert!(faults.finish().unwrap());
    assert!(state(pids[1]).is_some_and(|it| it != 'Z'), "it stays when the run is over");
    let last = rustix::process::Pid::from_raw(i32::try_from(pids[1]).unwrap()).unwrap();
    process::Process::open(last).unwrap().kill().unwrap();
}

#[test]
fn a_command_that_fails_ends_the_run() {
    let stub = Stub::new();
    let mut faults = started(KILLED, &config(&[("stub", stub.0.id())], &[("stub", "exit 7")]));
    let mut error = None;
    wait_for("the error", || {
        error = faults.marks().err();
        error.is_some()
    });
    let cause = error.as_ref().and_then(Error::source).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains('7'), "{error:?}");
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_begun() {
    let stub = Stub::new();
    let mut gone = Stub::new();
    gone.0.kill().unwrap();
    wait_for("its end", || gone.state() == 'Z');
    let named = || config(&[("stub", stub.0.id())], &[]);
    let own = |kafka: Option<&str>| RunConfig {
        start: Some(Start { program: "holdfast".into(), data: None, kafka: kafka.map(ToOwned::to_owned) }),
        ..config(&[], &[])
    };
    let timed = KILLED.replace("kind", "for_ms = 5\nkind");
    let of = |role: &str| KILLED.replace("stub", role);
    let disk = "[[fault]]\nat_ms = 1\nkind = 'fill-disk'\nfor_ms = 5\n";
    let keys = |at: &str| RunConfig::new("test", "127.0.0.1:1", Credentials::Keys(at.into()));
    for (text, config, word) in [
        (of("sequencer").as_str(), named(), "--start, or name its process with --process sequencer=PID"),
        (of("broker").as_str(), own(None), "--process broker=PID"),
        (of("server").as_str(), own(Some("127.0.0.1:9092")), "sequencer and intake"),
        (timed.as_str(), named(), "--restart stub=COMMAND"),
        (KILLED, config(&[("stub", gone.0.id())], &[]), "--process stub="),
        ("", config(&[], &[("stub", "true")]), "--process stub=PID"),
        (disk, named(), "not known"),
        (disk, keys("/proc"), "tmpfs"),
        (disk, keys("/proc/there/is/no/such"), "nothing is known"),
    ] {
        match Plan::new(&faults(text), &config, None).err() {
            Some(FaultError::Refused(what)) => assert!(what.contains(word), "{what}"),
            other => panic!("{other:?} instead of {word}"),
        }
    }
    for role in ["server", "sequencer", "intake"] {
        assert!(Plan::new(&faults(&of(role)), &own(None), None).is_ok(), "{role}");
    }
    assert_ne!(stub.state(), 'T');
}

#[test]
fn a_named_process_comes_before_the_servers_own() {
    let stub = Stub::new();
    let mut config = config(&[("sequencer", stub.0.id())], &[]);
    config.start = Some(Start { program: "holdfast".into(), data: None, kafka: None });
    let text = FROZEN.replace("stub", "sequencer");
    let home = Path::new("/nowhere");
    let mut faults = Plan::new(&faults(&text), &config, Some(home)).unwrap().start(Stopwatch::start());
    wait_for("the process to stand still", || stub.state() == 'T');
    assert!(faults.finish().unwrap());
    assert_eq!(config.restarts, BTreeMap::new());
}
