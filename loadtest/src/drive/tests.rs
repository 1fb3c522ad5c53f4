//! What buyers ask for.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::{Ask, Cast, Crowd, Drive, Job, Sku, Times, What, Wheel, Wording, sku_names};
use crate::books::{Body, Moment};
use crate::generator::Script;
use crate::scenario;

/// Buyers of SKUs, who come for a second.
fn cast(buyers: &str, skus: u16) -> Cast {
    let text =
        format!("[sale]\nskus = {skus}\n[buyers]\n{buyers}\n[[stage]]\nduration_ms = 1000\nrate = 4000\n");
    let scenario = scenario::read("test", &text).unwrap();
    Cast::new(scenario, Wording::new("shop", 1, vec![], sku_names("SKU", skus, Some(4)))).unwrap()
}

/// The bodies of all first requests of a run with these buyers, which lasts for 4,000 requests.
fn bodies(buyers: &str, skus: u16) -> Vec<Body> {
    let cast = cast(buyers, skus);
    let (is_over, mut later) = (AtomicBool::new(false), Wheel::new());
    let mut drive = Drive::new(Crowd::new(&cast, 0, 1, &is_over, Box::new(|_| {})));
    let jobs = std::iter::from_fn(|| drive.next(Moment(0), &mut later));
    jobs.filter_map(|(_, job)| match job.what {
        What::Ask(Ask::Reserve { body, .. }) => Some(body),
        _ => None,
    })
    .collect()
}

/// Everything that is asked for, in the order of the plan, by so many workers. What is done with the answers is up to `answered`.
fn all_asked(
    cast: &Cast,
    workers: usize,
    answered: impl Fn(&mut Drive<'_>, &Job, &mut Wheel<Job>),
) -> Vec<String> {
    let is_over = AtomicBool::new(false);
    let mut asked = BTreeMap::new();
    for worker in 0..workers {
        let mut later = Wheel::new();
        let mut drive = Drive::new(Crowd::new(cast, worker, workers, &is_over, Box::new(|_| {})));
        while let Some((at, job)) = drive.next(Moment(0), &mut later) {
            answered(&mut drive, &job, &mut later);
            asked.insert(job.number, format!("{at:?} {job:?}"));
        }
    }
    asked.into_values().collect()
}

#[test]
fn a_seed_gives_the_same_buyers_whatever_the_server_does_and_however_many_send() {
    let cast = cast("units = [1, 3]\nmulti_line = 0.2\ndouble_click = 0.1\nkey_reuse = 0.1", 7);
    let quiet = all_asked(&cast, 1, |_, _, _| {});
    assert_eq!(quiet.len(), 4_000);
    assert_ne!(quiet[0].split_once(' ').unwrap().1, quiet[1].split_once(' ').unwrap().1);
    let silence = |drive: &mut Drive<'_>, job: &Job, later: &mut Wheel<Job>| {
        let now = Moment(0);
        drive.done(job.clone(), Times { intended: now, sent: now, done: now }, None, later);
    };
    assert_eq!(all_asked(&cast, 1, silence), quiet, "nobody answers");
    assert_eq!(all_asked(&cast, 3, |_, _, _| {}), quiet, "three share the work");
}

#[test]
fn a_share_of_reservations_is_for_two_or_three_skus() {
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    for body in bodies("multi_line = 0.5", 20) {
        assert!(!body.allow_partial());
        *lengths.entry(body.lines().len()).or_default() += 1;
    }
    assert_eq!(lengths.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    // Half of 4,000, give or take five standard deviations; and of the others half each.
    assert!(lengths[&1].abs_diff(2_000) < 160, "{lengths:?}");
    assert!(lengths[&2].abs_diff(1_000) < 140, "{lengths:?}");
}

#[test]
fn several_lines_of_a_hot_sku_are_for_others_as_well() {
    let all = bodies("multi_line = 1.0\npopularity = { kind = \"hot\", share = 1.0 }", 2);
    assert_eq!(all.len(), 4_000);
    assert!(all.iter().all(|it| *it == Body::of(&[(Sku(0), 1), (Sku(1), 1)])));
}

#[test]
fn a_plain_sale_has_one_line_each() {
    let all = bodies("units = [1, 3]", 5);
    assert_eq!(all.len(), 4_000);
    assert!(all.iter().all(|it| it.lines().len() == 1 && (1..=3).contains(&it.units())));
}
