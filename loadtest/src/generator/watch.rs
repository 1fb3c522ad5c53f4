//! The generator watches itself: a tool that is slow itself must not be mistaken for a slow server.

use std::fs;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::results::{Quantiles, Second};
use crate::scenario::Model;

/// Requests that are later than that, by the generator's own fault, spoil the figures.
const LAG_MAX_MS: f64 = 1.0;
/// A generator that uses more than this share of the cores it can use has nothing left for a rush.
const CPU_SHARE_MAX: f64 = 0.9;
/// Requests that waited longer than that for a connection felt something else than the server.
const WAIT_MAX_MS: f64 = 1.0;
/// A link for each open file of this process.
const OPEN_FILES: &str = "/proc/self/fd";

/// Looks at this process again and again.
#[derive(Debug)]
pub(crate) struct SelfWatch {
    began: (Instant, Duration),
    last: (Instant, Duration),
    /// The most open files that a step has seen.
    files_max: u64,
    sockets_max: u64,
}

impl SelfWatch {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        let now = (Instant::now(), cpu());
        Self { began: now, last: now, files_max: 0, sockets_max: 0 }
    }

    /// Processor time since the last step, or since the beginning, as a share of one core in percent.
    pub(crate) fn step(&mut self) -> f64 {
        let now = (Instant::now(), cpu());
        let percent = cpu_percent(now.1.saturating_sub(self.last.1), now.0 - self.last.0);
        self.last = now;
        self.count_sockets();
        percent
    }

    /// Processor time from the beginning to now, as a share of one core in percent.
    pub(crate) fn average(&self) -> f64 {
        let (at, before) = self.began;
        cpu_percent(cpu().saturating_sub(before), at.elapsed())
    }

    /// The most sockets that a step has seen.
    pub(crate) const fn sockets_max(&self) -> u64 {
        self.sockets_max
    }

    /// Counting them reads a link for each open file, which takes long enough to be felt by a request that is under way. So it
    /// is done only when there are more files than ever. Before Linux 6.2 nobody says how many there are.
    fn count_sockets(&mut self) {
        let files = fs::metadata(OPEN_FILES).map_or(0, |folder| folder.len());
        if files == 0 || files > self.files_max {
            self.files_max = files;
            self.sockets_max = self.sockets_max.max(sockets());
        }
    }
}

/// Processor time of all threads of this process so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// Open sockets: the `socket:` links. None where there is no such folder.
fn sockets() -> u64 {
    let Ok(files) = fs::read_dir(OPEN_FILES) else { return 0 };
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:")).map(|_| 1).sum()
}

fn cpu_percent(cpu: Duration, wall: Duration) -> f64 {
    if wall.is_zero() { 0.0 } else { 100.0 * cpu.as_secs_f64() / wall.as_secs_f64() }
}

/// Cores that this process may use.
pub(crate) fn cores() -> u32 {
    available_parallelism().map_or(1, NonZero::get).try_into().unwrap_or(u32::MAX)
}

/// Seconds at both ends of which every connection was busy, and in which requests waited for one.
pub(crate) fn busy_seconds(seconds: &[Second], connections: u32) -> u64 {
    let is_full = |second: &Second| second.in_flight >= u64::from(connections);
    let had_to_wait = |second: &Second| second.felt.p99 > second.took.p99 + WAIT_MAX_MS;
    let busy = seconds.windows(2).filter(|two| two.iter().all(is_full) && had_to_wait(&two[1]));
    busy.map(|_| 1).sum()
}

/// What tells whether the generator is the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs {
    pub(crate) model: Model,
    /// Threads that send, of this process.
    pub(crate) threads: u32,
    /// As [`cores`] says.
    pub(crate) cores: u32,
    /// Of this process.
    pub(crate) connections: u32,
    /// How late requests were taken up.
    pub(crate) lag: Quantiles,
    /// Processor time as a share of one core, in percent.
    pub(crate) cpu_percent: f64,
    /// Requests that were due.
    pub(crate) due: u64,
    /// Requests that were never sent.
    pub(crate) dropped: u64,
    /// As [`busy_seconds`] says.
    pub(crate) busy_seconds: u64,
    /// Of so many.
    pub(crate) seconds: u64,
}

impl Signs {
    /// Whether the figures say more of the generator than of the server. Busy connections and requests that
    /// were dropped do not mean that: they are what a slow server looks like, too.
    pub(crate) fn is_generator_the_limit(&self) -> bool {
        self.is_late() || self.is_short_of_cpu()
    }

    fn is_late(&self) -> bool {
        self.model == Model::Open && self.lag.p99 > LAG_MAX_MS
    }

    /// In the open model a hot core says nothing as long as requests leave in time. In the closed model nothing is ever due, so
    /// that is the only sign.
    fn is_short_of_cpu(&self) -> bool {
        let is_hot = self.cpu_percent > 100.0 * CPU_SHARE_MAX * f64::from(self.usable_cores());
        is_hot && (self.model == Model::Closed || self.is_late() || self.dropped > 0)
    }

    fn usable_cores(&self) -> u32 {
        self.threads.min(self.cores).max(1)
    }
}

/// Why the figures are to be read with care, in sentences; nothing if there is no reason.
pub(crate) fn verdict(signs: &Signs) -> Vec<String> {
    let mut reasons = Vec::new();
    if signs.is_late() {
        reasons.push(format!(
            "results limited by the generator: 99 of 100 requests were taken up no later than {:.1} ms after they were \
             due, whether a connection was free or not",
            signs.lag.p99
        ));
    }
    if signs.is_short_of_cpu() {
        reasons.push(cpu_reason(signs));
    }
    if signs.dropped > 0 {
        reasons.push(format!(
            "{} of {} requests were never sent: when there was no more room, or when the run ended, they still waited for \
             a connection",
            signs.dropped, signs.due
        ));
    }
    // In the closed model they are all busy by its very nature.
    if signs.model == Model::Open && signs.busy_seconds > 0 {
        reasons.push(format!(
            "all {} connections were busy in {} of {} seconds: raise `connections`, or the server is the limit",
            signs.connections, signs.busy_seconds, signs.seconds
        ));
    }
    reasons
}

fn cpu_reason(signs: &Signs) -> String {
    let used = signs.cpu_percent / 100.0;
    let (threads, cores) = (signs.threads, signs.cores);
    let advice = if threads < cores { "give it more threads" } else { "spread the load over more machines" };
    format!(
        "results limited by the generator: it used {used:.1} cores, with {threads} threads on {cores} cores: {advice}"
    )
}

#[cfg(test)]
mod tests;
