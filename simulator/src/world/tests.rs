//! Tests of the world: it is clean, its checkers see, and a failing history becomes small and stays readable.

use super::*;

/// Enough for every checker to have been at work, few enough for a test.
const SEEDS: std::ops::Range<u64> = 0..300;

#[test]
fn some_hundred_worlds_are_clean() {
    let mut marks = WorldMarks::default();
    for seed in SEEDS {
        let stats = run_world(seed, Canary::None).unwrap_or_else(|failure| panic!("{failure}"));
        marks.add(&stats.world);
    }
    for mark in [
        WorldMark::OwnersAgreed,
        WorldMark::ZombieWokeUp,
        WorldMark::StandbyPromoted,
        WorldMark::LogCrashLostRecords,
        WorldMark::GapFilled,
        WorldMark::CheckpointWriteFailed,
        WorldMark::CommandsTrimmed,
        WorldMark::OldBuildMetUnknownRules,
        WorldMark::ViewAgreed,
        WorldMark::HealedWithinBounds,
    ] {
        assert!(marks.count(mark) > 0, "{mark:?} was never met");
    }
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..10 {
        let case = case_of_seed(seed, Canary::None);
        assert!(!case.actions.is_empty());
        assert_eq!(case, case_of_seed(seed, Canary::None), "seed {seed}");
    }
}

#[test]
fn a_story_reads_back_from_its_text_and_ends_as_it_did() {
    for seed in 0..10 {
        let case = case_of_seed(seed, Canary::None);
        let read = WorldCase::from_text(&case.to_text()).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert_eq!((&read.setup, &read.actions), (&case.setup, &case.actions), "seed {seed}");
        run_world_case(&read, Canary::None).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

fn first_failure(canary: Canary) -> u64 {
    let failure = SEEDS.into_iter().find_map(|seed| run_world(seed, canary).err());
    failure.and_then(|failure| failure.seed).expect("a blind checker is found out")
}

#[test]
fn a_disk_that_loses_what_it_flushed_is_found_and_made_small() {
    let case = case_of_seed(first_failure(Canary::Store), Canary::Store);
    let kind = |case: &WorldCase| run_world_case(case, Canary::Store).err().map(|failure| failure.kind());
    let first = kind(&case).expect("the actions alone fail");
    let small = shrink_world(&case, 400, |case| kind(case).as_ref() == Some(&first));
    assert!(
        small.actions.len() * 4 < case.actions.len(),
        "{} of {}",
        small.actions.len(),
        case.actions.len()
    );
    assert_eq!(kind(&small), Some(first));
    run_world_case(&small, Canary::None).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_reader_that_garbles_is_found() {
    first_failure(Canary::Reader);
}

#[test]
fn histories_that_failed_once_are_clean() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_none_or(|it| it != "world") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let case = WorldCase::from_text(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        run_world_case(&case, Canary::None).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
        count += 1;
    }
    assert!(count > 0, "there are none");
}
