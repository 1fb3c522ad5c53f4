//! What is measured by several processes is put together as if one had measured it.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

use super::*;
use crate::drive::Kind;
use crate::generator::{Latencies, histogram};

fn again(report: &Report) -> Report {
    postcard::from_bytes(&postcard::to_stdvec(report).unwrap()).unwrap()
}

/// A second in which these latencies were measured, in microseconds.
fn second(latencies: &[u64], cpu_percent: Option<f64>) -> Interval {
    let mut interval = Interval::new(3);
    interval.counts.sent = latencies.len() as u64;
    interval.in_flight = 2;
    interval.statuses.insert(201, latencies.len() as u64);
    interval.codes.insert("SOLD_OUT".into(), 1);
    interval.cpu_percent = cpu_percent;
    let mut measured = Latencies::new();
    for micros in latencies {
        measured.record(Duration::from_micros(*micros * 3), Duration::from_micros(*micros));
        interval.lag.record(*micros % 1_000 + 1).unwrap();
    }
    interval.latencies[Kind::Confirm as usize] = Some(Box::new(measured));
    interval
}

/// Every bucket that has something in it.
fn buckets(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    histogram.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
}

#[test]
fn histograms_of_two_workers_make_the_histogram_of_all_values() {
    let mut rng = fastrand::Rng::with_seed(11);
    // From a microsecond to beyond the longest that is kept apart.
    let mut draw = || rng.u64(..) >> rng.u32(30..64);
    let all: Vec<u64> = (0..20_000).map(|_| draw().max(1)).collect();
    let (one, other) = all.split_at(7_000);
    let told = |latencies, cpu| match again(&Report::Second(1, Box::new(second(latencies, cpu)))) {
        Report::Second(1, interval) => *interval,
        other => panic!("{other:?}"),
    };
    let mut sum = told(one, Some(80.0));
    sum.add(&told(other, Some(30.0)));
    let alone = second(&all, None);
    let of = |interval: &Interval| {
        let confirms = interval.latencies[Kind::Confirm as usize].clone().unwrap();
        [buckets(&interval.lag), buckets(&confirms.intended), buckets(&confirms.sent)]
    };
    assert_eq!(of(&sum), of(&alone));
    assert_eq!(of(&sum)[1].iter().map(|it| it.1).sum::<u64>(), 20_000);
    assert_eq!(sum.lag, alone.lag);
    assert!(sum.latencies[Kind::Reserve as usize].is_none());
    assert_eq!((sum.second, sum.counts, sum.in_flight), (3, alone.counts, 4));
    assert_eq!((sum.statuses[&201], sum.codes["SOLD_OUT"], sum.cpu_percent), (20_000, 2, Some(110.0)));
}

#[test]
fn a_histogram_with_other_bounds_is_refused() {
    let bytes = |histogram: &Histogram<u64>| {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).unwrap();
        bytes
    };
    let (ours, other) = (histogram(), Histogram::<u64>::new_with_bounds(1, 1_000, 2).unwrap());
    for (told, is_good) in [(bytes(&ours), true), (bytes(&other), false), (vec![1, 2, 3], false)] {
        // Latencies are nothing but two histograms.
        let latencies = postcard::to_stdvec(&(&told, &told)).unwrap();
        let read = postcard::from_bytes::<Latencies>(&latencies);
        assert_eq!(read.is_ok(), is_good, "{read:?}");
    }
}

#[test]
fn a_job_is_read_as_it_was_written() {
    let scenario = Source {
        name: "mine.toml".into(),
        text: "connections = 4\n[[stage]]\nduration_ms = 1000\nrate = 100.0\n".into(),
        seed: Some(9),
        connections: None,
        scale: 0.1,
    };
    let server = "shop:8080".to_owned();
    let job = Job { scenario, run: u64::MAX, server, first: 2, here: 1, all: 4 };
    let bytes = postcard::to_stdvec(&Order::Job(Box::new(job.clone()))).unwrap();
    let Order::Job(read) = postcard::from_bytes(&bytes).unwrap() else { panic!("a job was told") };
    assert_eq!(*read, job);
    let scenario = read.scenario.read().unwrap();
    assert_eq!((scenario.seed, *scenario.stages.get_ref()[0].rate.get_ref()), (9, 10.0));
}
