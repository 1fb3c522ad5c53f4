//! Telling time, and what to make of several measurements.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Processor time that the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

/// Processor time that all threads of this process have used.
#[must_use]
pub fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long a piece of work took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    /// By the wall clock.
    pub wall: Duration,
    /// Processor time of the thread that did it.
    pub thread: Duration,
    /// Processor time of the whole process meanwhile.
    pub process: Duration,
}

/// Does `work` and says how long it took.
pub fn timed<R>(work: impl FnOnce() -> R) -> (R, Took) {
    let (process, wall, thread) = (process_cpu(), Instant::now(), thread_cpu());
    let result = work();
    let (thread, wall) = (thread_cpu().saturating_sub(thread), wall.elapsed());
    (result, Took { wall, thread, process: process_cpu().saturating_sub(process) })
}

/// Processor time of every thread of this process, by name.
#[must_use]
pub fn thread_times() -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return times };
    for task in tasks.flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos = read("schedstat").split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        *times.entry(read("comm").trim().to_owned()).or_default() += Duration::from_nanos(nanos.unwrap_or(0));
    }
    times
}

/// What threads have used since somebody looked at [`thread_times`]. Threads that have ended are missing.
#[must_use]
pub fn since(before: &BTreeMap<String, Duration>) -> BTreeMap<String, Duration> {
    let spent = thread_times().into_iter().map(|(name, time)| {
        let used = time.saturating_sub(before.get(&name).copied().unwrap_or_default());
        (name, used)
    });
    spent.filter(|(_, time)| !time.is_zero()).collect()
}

/// So many per second.
#[must_use]
pub fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// The middle of some values; of an even number of them the mean of the two in the middle. `None` of none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// The value below which `percent` of the values lie, by nearest rank. `None` of none.
#[must_use]
pub fn percentile(values: &[f64], percent: u32) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent.min(100) as usize).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 5.0, 6.0]), Some(5.5));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), Some(100.0));
        assert_eq!(percentile(&values, 99), Some(198.0));
        assert_eq!(percentile(&values, 100), Some(200.0));
        assert_eq!(percentile(&[3.0], 99), Some(3.0));
        assert_eq!(percentile(&[], 99), None);
    }

    #[test]
    fn a_thread_is_charged_for_its_work_under_its_name() {
        let before = thread_times();
        let (working, done) =
            (std::thread::Builder::new().name("worker".to_owned()), std::sync::mpsc::channel());
        let (told, (_hold, held)) = (done.0, std::sync::mpsc::channel::<()>());
        let thread = working.spawn(move || {
            std::hint::black_box((0..20_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)));
            told.send(()).ok();
            held.recv().ok();
        });
        done.1.recv().expect("the work is done");
        assert!(since(&before).get("worker").is_some_and(|used| !used.is_zero()));
        drop(_hold);
        thread.expect("it was started").join().expect("no panic");
    }

    #[test]
    fn work_takes_processor_time() {
        let (_, took) = timed(|| (0..2_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)));
        assert!(!took.thread.is_zero() && !took.process.is_zero() && !took.wall.is_zero(), "{took:?}");
    }
}
