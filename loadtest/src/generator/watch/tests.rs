//! The watch sees what the process does, and blames the generator only for what is its own fault.

use std::hint::black_box;
use std::net::TcpListener;

use super::*;

/// An hour without a fault: 2 threads on 4 cores, 64 connections.
fn calm() -> Signs {
    Signs {
        model: Model::Open,
        threads: 2,
        cores: 4,
        connections: 64,
        lag: Quantiles { p99: 0.2, ..Quantiles::default() },
        cpu_percent: 40.0,
        due: 50_000,
        dropped: 0,
        busy_seconds: 0,
        seconds: 60,
    }
}

#[track_caller]
fn says(signs: &Signs, is_limit: bool, starts: &[&str]) {
    let reasons = verdict(signs);
    let same = reasons.len() == starts.len() && reasons.iter().zip(starts).all(|(it, of)| it.starts_with(of));
    assert!(same, "{signs:?}: {reasons:?} instead of {starts:?}");
    assert_eq!(signs.is_generator_the_limit(), is_limit, "{signs:?}");
}

fn lag(p99: f64) -> Quantiles {
    Quantiles { p99, ..Quantiles::default() }
}

#[test]
fn a_generator_that_keeps_up_has_nothing_to_say() {
    says(&calm(), false, &[]);
    says(&Signs { lag: lag(1.0), ..calm() }, false, &[]);
}

#[test]
fn requests_that_leave_late_are_the_generators_fault() {
    let signs = Signs { lag: lag(3.2), ..calm() };
    says(
        &signs,
        true,
        &[
            "results limited by the generator: 99 of 100 requests were taken up no later than 3.2 ms after they were \
           due, whether a connection was free or not",
        ],
    );
}

#[test]
fn in_the_closed_model_nothing_is_late() {
    says(&Signs { model: Model::Closed, lag: lag(3.2), ..calm() }, false, &[]);
}

#[test]
fn hot_cores_matter_only_where_they_cannot_be_a_thread_that_waits() {
    let hot = Signs { cpu_percent: 181.0, ..calm() };
    says(&hot, false, &[]);
    let it_used = "results limited by the generator: it used 1.8 cores, with 2 threads on 4 cores: give it more threads";
    says(&Signs { model: Model::Closed, ..hot }, true, &[it_used]);
    says(&Signs { lag: lag(9.0), ..hot }, true, &["results limited", it_used]);
    says(&Signs { dropped: 3, ..hot }, true, &[it_used, "3 of 50000 requests were never sent"]);
    says(&Signs { model: Model::Closed, cpu_percent: 180.0, ..calm() }, false, &[]);
}

#[test]
fn more_threads_than_cores_are_measured_by_the_cores() {
    let signs = Signs { model: Model::Closed, threads: 8, cores: 2, cpu_percent: 185.0, ..calm() };
    let reasons = verdict(&signs);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].ends_with("spread the load over more machines"), "{reasons:?}");
}

#[test]
fn busy_connections_may_be_the_servers_fault() {
    let busy = Signs { busy_seconds: 12, ..calm() };
    let all =
        "all 64 connections were busy in 12 of 60 seconds: raise `connections`, or the server is the limit";
    says(&busy, false, &[all]);
    says(&Signs { dropped: 9, ..busy }, false, &["9 of 50000 requests were never sent", all]);
    says(&Signs { model: Model::Closed, ..busy }, false, &[]);
}

#[test]
fn a_second_is_busy_if_it_begins_and_ends_so_and_somebody_waited() {
    let second =
        |in_flight, felt, took| Second { in_flight, felt: lag(felt), took: lag(took), ..Second::default() };
    let (full, free) = (second(4, 30.0, 5.0), second(3, 30.0, 5.0));
    let nobody_waits = second(4, 5.5, 5.0);
    assert_eq!(busy_seconds(&[], 4), 0);
    assert_eq!(busy_seconds(std::slice::from_ref(&full), 4), 0);
    assert_eq!(busy_seconds(&[full.clone(), full.clone(), full.clone()], 4), 2);
    assert_eq!(busy_seconds(&[full.clone(), free, full.clone()], 4), 0);
    assert_eq!(busy_seconds(&[full.clone(), nobody_waits], 4), 0);
    assert_eq!(busy_seconds(&[full.clone(), full], 5), 0);
}

#[test]
fn work_shows_as_processor_time() {
    let mut watch = SelfWatch::begin();
    let before = cpu();
    let mut work = 0_u64;
    // Ends as soon as the clock of the process moves by more than looking at it costs.
    while cpu() < before + Duration::from_millis(20) {
        work = (0..10_000).fold(work, |sum, it| black_box(sum ^ it));
    }
    assert!(watch.step() > 0.0);
}

#[test]
fn a_share_is_of_one_core() {
    let ms = Duration::from_millis;
    assert!((cpu_percent(ms(1_500), ms(1_000)) - 150.0).abs() < 1e-9);
    assert!(cpu_percent(ms(5), Duration::ZERO).abs() < 1e-9);
}

#[test]
fn open_sockets_are_counted() {
    // Tests run side by side and open sockets too; so many at once is what nobody else does.
    let mut watch = SelfWatch::begin();
    watch.step();
    let open: Vec<_> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    watch.step();
    assert!(watch.sockets_max() >= 200, "{}", watch.sockets_max());
    let more: Vec<_> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    watch.step();
    drop((open, more));
    watch.step();
    assert!(watch.sockets_max() >= 400, "{}", watch.sockets_max());
}

#[test]
fn there_is_a_core() {
    assert!(cores() >= 1);
}
