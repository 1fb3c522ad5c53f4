use std::time::Duration;

use fastrand::Rng;

use super::fault::in_order;
use super::file::Popularity;
use super::{Arrivals, Fault, FaultKind, Picker, SHIPPED, read};

fn arrivals(stages: &str) -> Vec<Duration> {
    let scenario = read("test", stages).unwrap();
    Arrivals::new(scenario.stages.get_ref(), scenario.seed).collect()
}

fn between(arrivals: &[Duration], from_ms: u64, to_ms: u64) -> usize {
    let (from, to) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms));
    arrivals.iter().filter(|at| (from..to).contains(*at)).count()
}

#[test]
fn every_shipped_scenario_can_be_read() {
    assert!(SHIPPED.iter().any(|it| it.name == "t0-herd"));
    for shipped in SHIPPED {
        let scenario = read(shipped.name, shipped.text).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.about.is_empty(), "{} says nothing of itself", shipped.name);
        let last = Arrivals::new(scenario.stages.get_ref(), scenario.seed).next();
        assert!(last.is_some(), "{}: nobody comes", shipped.name);
    }
}

/// The recipe for k6 sends reservations at an even rate and nothing else; what it is held against must do the same.
#[test]
fn the_scenario_beside_the_recipe_for_k6_only_reserves() {
    let text = include_str!("../../../benches/recipes/steady.toml");
    let scenario = read("steady", text).unwrap_or_else(|error| panic!("{error}"));
    let (after, readers) = (&scenario.after, &scenario.readers);
    let others = [&after.confirm, &after.release, &readers.share, &scenario.buyers.double_click];
    assert!(others.iter().all(|share| *share.get_ref() <= 0.0), "{scenario:?}");
    let all: Vec<Duration> = Arrivals::new(scenario.stages.get_ref(), scenario.seed).collect();
    assert_eq!(all.len(), 15_000);
    assert_eq!(all[14_999], Duration::from_millis(14_999));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, line, word) in [
        ("about = 1\n", 1, "string"),
        ("seed = 1\nsped = 2\n[[stage]]\nduration_ms = 1\n", 2, "sped"),
        ("[sale]\nskus = 1\nunits = -3\n[[stage]]\nduration_ms = 1\n", 3, "-3"),
        ("[[stage]]\nduration_ms = 5\n\n[after]\nconfirm = 0.7\nrelease = 0.4\n", 6, "at most 1"),
        ("[[stage]]\nduration_ms = 1000\nrate = 5\nto = 6\n", 4, "leave `to` out"),
        ("[[stage]]\nrate = 5\nduration_ms = 1000\nshape = \"spike\"\n", 3, "`to`"),
        ("[[stage]]\nduration_ms = 1000\nshape = \"round\"\n", 3, "round"),
        ("[buyers]\npopularity = { kind = \"zipf\", s = 0.0 }\n[[stage]]\nduration_ms = 1\n", 2, "above 0"),
        ("[buyers]\npopularity = { kind = \"hot\", share = 0.5, s = 1.0 }\n", 2, "nothing else"),
        ("[buyers]\npopularity = { kind = \"zipf\", share = 0.5 }\n", 2, "takes `s`"),
        ("[buyers]\npopularity = { kind = \"uniform\", sku = 3 }\n", 2, "sku"),
        ("[buyers]\nunits = [1, 2, 3]\n", 2, "the least and the most"),
        ("[after]\n\ndelay_ms = [1]\n", 3, "the least and the most"),
        ("[buyers]\nmulti_line = 0.5\n[[stage]]\nduration_ms = 1\n", 2, "several SKUs"),
        (api("\nmethod = \"GE T\"", "").as_str(), 5, "no blanks"),
        (api("granted = []", "").as_str(), 4, "the statuses of a grant"),
        (api("body = \"{price}\"", "").as_str(), 4, "stands for nothing"),
        (api("", "x = \"1\"\n\"a b\" = \"2\"").as_str(), 9, "a b"),
        ("stage = []\n", 1, "no stage"),
        ("\n[[stage]]\nduration_ms = 90000000\n", 3, "duration_ms"),
        (fault("at_ms = 1\nkind = \"burn\"").as_str(), 5, "burn"),
        (fault("kind = \"kill\"").as_str(), 3, "at_ms"),
        (fault("kind = \"kill\"\nat_ms = 2000").as_str(), 5, "before the last stage ends"),
        (fault("at_ms = 1\nkind = \"freeze\"\nrole = \"intake\"").as_str(), 5, "for_ms"),
        (fault("at_ms = 1\nkind = \"fill-disk\"").as_str(), 5, "for_ms"),
        (
            fault("at_ms = 1\nkind = \"fill-disk\"\nfor_ms = 9\nrole = \"broker\"").as_str(),
            7,
            "leave `role` out",
        ),
        (fault("at_ms = 1\nkind = \"freeze\"\nfor_ms = 0").as_str(), 6, "for_ms is 0"),
        (fault("at_ms = 1\nkind = \"kill\"\nrole = \"\"").as_str(), 6, "role"),
        (fault("at_ms = 1\nkind = \"kill\"\nwhom = 1").as_str(), 6, "whom"),
        (two_faults("server", 399).as_str(), 9, "still going on"),
    ] {
        let error = read("file.toml", text).expect_err(text);
        assert_eq!(error.line, line, "{error}\n{text}");
        assert!(error.to_string().contains(word), "{error} does not say {word}");
    }
}

/// An interface with more in line 4, and more headers from line 8 on.
fn api(more: &str, headers: &str) -> String {
    let granted = if more.contains("granted") { "" } else { "granted = [200]\n" };
    format!("[[stage]]\nduration_ms = 1\n[api]\n{more}\npath = \"/\"\n{granted}[api.headers]\n{headers}\n")
}

fn fault(text: &str) -> String {
    format!("[[stage]]\nduration_ms = 2000\n[[fault]]\n{text}\n")
}

/// A server that is frozen from 100 to 400 ms, and then a process that is killed.
fn two_faults(role: &str, at_ms: u64) -> String {
    fault(&format!(
        "kind = \"kill\"\nrole = \"{role}\"\n\n\n\nat_ms = {at_ms}\n\
         [[fault]]\nat_ms = 100\nkind = \"freeze\"\nfor_ms = 300"
    ))
}

#[test]
fn faults_are_read_in_the_order_in_which_they_are_done() {
    let faults = |text: &str| {
        let all = read("test", text).unwrap_or_else(|error| panic!("{error}")).faults;
        let one = |it: &Fault| (*it.at_ms.get_ref(), it.kind(), it.role().to_owned(), it.lasts());
        in_order(&all).into_iter().map(one).collect::<Vec<_>>()
    };
    let frozen = (100, FaultKind::Freeze, "server".to_owned(), Some(Duration::from_millis(300)));
    let killed = |at_ms, role: &str| (at_ms, FaultKind::Kill, role.to_owned(), None);
    assert_eq!(faults(&two_faults("server", 400)), [frozen.clone(), killed(400, "server")]);
    assert_eq!(faults(&two_faults("broker", 399)), [frozen, killed(399, "broker")], "somebody else");
    assert_eq!(faults("[[stage]]\nduration_ms = 1\n"), []);
}

#[test]
fn an_even_stage_has_a_request_every_so_often() {
    let all =
        arrivals("[[stage]]\nduration_ms = 2000\nrate = 500\n[[stage]]\nduration_ms = 1000\nrate = 100\n");
    assert_eq!(all.len(), 1_100);
    assert_eq!(
        (all[0], all[1], all[1_000]),
        (Duration::ZERO, Duration::from_millis(2), Duration::from_secs(2))
    );
    assert!(all.is_sorted());
}

#[test]
fn a_linear_stage_has_the_requests_of_its_middle_rate() {
    let up = arrivals("[[stage]]\nduration_ms = 10000\nrate = 0\nto = 2000\nshape = \"linear\"\n");
    assert!(up.len().abs_diff(10_000) <= 1, "{}", up.len());
    // A quarter of them in the first half.
    assert!(between(&up, 0, 5_000).abs_diff(2_500) <= 1);
    let down = arrivals("[[stage]]\nduration_ms = 10000\nrate = 2000\nto = 0\nshape = \"linear\"\n");
    assert!(between(&down, 0, 5_000).abs_diff(7_500) <= 1);
    assert!(down.len().abs_diff(10_000) <= 1, "{}", down.len());
    assert!(up.is_sorted() && down.is_sorted());
}

#[test]
fn a_spike_is_highest_at_its_beginning_and_falls_to_the_rate() {
    let all = arrivals("[[stage]]\nduration_ms = 9000\nrate = 1000\nto = 10000\nshape = \"spike\"\n");
    assert!(all.is_sorted());
    assert!(between(&all, 0, 10).abs_diff(100) <= 2, "{}", between(&all, 0, 10));
    // A tenth of the way is left after a third of the time.
    assert!(between(&all, 3_000, 3_010).abs_diff(19) <= 1, "{}", between(&all, 3_000, 3_010));
    assert!(between(&all, 8_900, 9_000).abs_diff(101) <= 2, "{}", between(&all, 8_900, 9_000));
}

#[test]
fn strangers_come_in_exponential_gaps() {
    let all = arrivals("[[stage]]\nduration_ms = 100000\nrate = 1000\nshape = \"poisson\"\n");
    // Six deviations of a Poisson count.
    assert!(all.len().abs_diff(100_000) < 1_900, "{}", all.len());
    let gaps: Vec<f64> = all.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1_000.0).collect();
    let longer = gaps.iter().filter(|gap| **gap > 1.0).count() as f64 / gaps.len() as f64;
    assert!((longer - (-1.0f64).exp()).abs() < 0.01, "{longer} of the gaps are longer than the mean");
    let again = arrivals("[[stage]]\nduration_ms = 100000\nrate = 1000\nshape = \"poisson\"\n");
    assert_eq!(all, again, "the same seed, the same crowd");
}

#[test]
fn a_stage_without_a_rate_is_a_pause() {
    let all = arrivals("[[stage]]\nduration_ms = 1000\n[[stage]]\nduration_ms = 1000\nrate = 3\n");
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], Duration::from_secs(1));
}

#[test]
fn skus_are_asked_for_as_their_popularity_says() {
    let share = |popularity, skus, sku: u16| {
        let (picker, mut rng) = (Picker::new(popularity, skus), Rng::with_seed(9));
        (0..100_000).filter(|_| picker.pick(&mut rng) == sku).count() as f64 / 100_000.0
    };
    assert!((share(Popularity::Uniform, 4, 3) - 0.25).abs() < 0.01);
    assert!((share(Popularity::Hot { share: 0.8 }, 5, 0) - 0.8).abs() < 0.01);
    assert!((share(Popularity::Hot { share: 0.8 }, 5, 4) - 0.05).abs() < 0.01);
    assert!((share(Popularity::Hot { share: 0.3 }, 1, 0) - 1.0).abs() < f64::EPSILON);
    // 1 + 1/2 + 1/3 + 1/4 = 25/12.
    assert!((share(Popularity::Zipf { s: 1.0 }, 4, 0) - 0.48).abs() < 0.01);
    assert!((share(Popularity::Zipf { s: 1.0 }, 4, 3) - 0.12).abs() < 0.01);
}
