//! Programs that a bench starts, and how it makes sure that none outlives it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_benches::pipeline::Result;
use rustix::process::{Pid, Signal, kill_process};

/// Those that run, for the watchdog.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Ends this process with a code after a time, and before it whatever it has started.
pub(crate) fn stop_all_after(time: Duration, code: u8) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        for pid in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // It may have ended meanwhile. nginx takes its workers along when it is asked, not when it is killed.
            kill_process(*pid, Signal::TERM).ok();
        }
        std::thread::sleep(Duration::from_millis(500));
        for pid in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            kill_process(*pid, Signal::KILL).ok();
        }
        std::process::exit(i32::from(code));
    });
}

/// A program of this workspace, built beside this one.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("there is no {}; build it first (scripts/bench does)", path.display()).into())
    }
}

/// Processor time that the threads of a process have used, in steps of 10 ms.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no processor time in its stat")?;
    Ok(Duration::from_millis(10 * (user + system)))
}

/// The resident memory in the `status` of a process.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// A program that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    pid: Pid,
}

impl Running {
    /// Starts it. What it says on standard error goes to a file, for the message when it fails.
    pub(crate) fn start(command: &mut Command, talk: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let talk = std::fs::File::create(talk)?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(talk).spawn();
        let child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
        let pid = Pid::from_child(&child);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        Ok(Self { name, child, pid })
    }

    /// The first line it prints that a look finds something in. Ends with an error when it ends without one.
    pub(crate) fn first_line<T>(&mut self, look: impl Fn(&str) -> Option<T>) -> Result<T> {
        let out = self.child.stdout.take().ok_or("its output was read before")?;
        let mut lines = BufReader::new(out).lines();
        for line in lines.by_ref() {
            if let Some(found) = look(&line?) {
                // Read on, so that it never waits for somebody to listen.
                std::thread::spawn(move || lines.count());
                return Ok(found);
            }
        }
        Err(format!("{} ended without saying what was waited for", self.name).into())
    }

    /// The lines it prints, as they come.
    pub(crate) fn lines(&mut self) -> Result<Receiver<String>> {
        let out = self.child.stdout.take().ok_or("its output was read before")?;
        let (lines, received) = channel();
        // It reads on when nobody listens any more, so that the program never waits for somebody to.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::io::Result::ok) {
                lines.send(line).ok();
            }
        });
        Ok(received)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Processor time that its threads have used, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_of(self.child.id())
    }

    /// Memory that it has in use (RSS), in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        resident_bytes(&status).ok_or_else(|| "its memory is not told".into())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|pid| *pid != self.pid);
        if self.has_ended() {
            return;
        }
        kill_process(self.pid, Signal::TERM).ok();
        let deadline = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !self.has_ended() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    let Output { status, stdout, stderr } = output;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        return Err(format!("{name} ended with {status}: {}", said.trim()).into());
    }
    Ok(String::from_utf8(stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_system_says() {
        assert_eq!(resident_bytes("Name:\tx\nVmHWM:\t 9000 kB\nVmRSS:\t    1234 kB\n"), Some(1_234 << 10));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let own = std::fs::read_to_string("/proc/self/status").expect("the system says");
        assert!(resident_bytes(&own).is_some_and(|bytes| bytes > 0));
    }
}
