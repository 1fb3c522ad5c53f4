//! Tests of the tests: a generator that reaches everything, a comparison and an auditor that are not blind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::answer::{Expected, Outcome};
use crate::case::Case;
use crate::compare::compare;
use crate::encode::write_body;
use crate::generate::{Generator, Lengths};
use crate::model::{Model, Settings, Twist};
use crate::run::{Next, Trial, run_case, run_seeds};
use crate::shrink::shrink;
use crate::subject::{Applied, Canary, Machine, ModelMachine};

#[test]
fn some_hundred_seeds_meet_every_mark() {
    let stats =
        run_seeds::<ModelMachine>(0..700, Lengths { short: 1_000, middle: 4_000, long: 20_000 }, 2, || true)
            .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(stats.marks.missing(), Vec::<String>::new());
}

#[test]
fn a_seed_makes_the_same_records_every_time() {
    for seed in 0..20 {
        let make = || {
            let mut generator = Generator::new(seed, Lengths::TINY);
            let mut model = Model::new(generator.settings());
            let mut records = Vec::new();
            while let Some(record) = generator.next(&model) {
                let stopped =
                    model.apply(records.len() as u64, record.append_time_ms, &record.payload).is_err();
                records.push(record);
                if stopped {
                    break;
                }
            }
            records
        };
        assert_eq!(make(), make(), "seed {seed}");
    }
}

/// A machine that is the model with one mistake.
struct Mistaken<const N: usize>(ModelMachine);

const TWISTS: [Twist; 9] = [
    Twist::ExpiresAfterDeadline,
    Twist::ExpiresByPlace,
    Twist::OversellsByOne,
    Twist::ForgetsRefusals,
    Twist::SkipsOwnerOnRelease,
    Twist::ServesSecondFirst,
    Twist::ForgetsEarly,
    Twist::IgnoresShortfall,
    Twist::WorksLinesFirst,
];

impl<const N: usize> Machine for Mistaken<N> {
    fn new(settings: Settings) -> Self {
        Self(ModelMachine(Model::new(settings).with_twist(TWISTS[N])))
    }

    fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied {
        self.0.apply(offset, append_time_ms, payload, out)
    }

    fn digest(&self) -> holdfast_contracts::Digest {
        self.0.digest()
    }
}

/// Runs seeds until the mistake shows, shrinks what shows it, and says how small it became.
fn catches<const N: usize>() -> usize {
    let failure = run_seeds::<Mistaken<N>>(0..300, Lengths::TINY, 2, || true)
        .err()
        .unwrap_or_else(|| panic!("{:?} was not noticed", TWISTS[N]));
    let seed = failure.seed.expect("it came from a seed");
    let case = crate::run::records_of_seed(seed, Lengths::TINY, failure.offset);
    let small = shrink(&case, 3_000, |case| run_case::<Mistaken<N>>(case).is_err());
    assert!(run_case::<Mistaken<N>>(&small).is_err());
    assert!(run_case::<ModelMachine>(&small).is_ok());
    small.records.iter().map(|record| record.commands().max(1)).sum()
}

#[test]
fn every_mistake_is_noticed_and_shrunk_to_a_handful_of_commands() {
    std::panic::set_hook(Box::new(|_| {}));
    let sizes = [
        catches::<0>(),
        catches::<1>(),
        catches::<2>(),
        catches::<3>(),
        catches::<4>(),
        catches::<5>(),
        catches::<6>(),
        catches::<7>(),
        catches::<8>(),
    ];
    drop(std::panic::take_hook());
    for (twist, size) in TWISTS.iter().zip(sizes) {
        assert!(size <= 60, "{twist:?} still needs {size} commands: {sizes:?}");
    }
}

/// A model and a machine that make the same mistake agree with each other; the auditor has to object, or an invariant
/// of the model itself.
fn caught_without_comparison<const N: usize>() -> Option<String> {
    (0..300).find_map(|seed| {
        let mut generator = Generator::new(seed, Lengths::TINY);
        let settings = generator.settings();
        let model = Model::new(settings).with_twist(TWISTS[N]);
        let mut trial = Trial::<Mistaken<N>>::with_model(model, settings);
        let result = catch_unwind(AssertUnwindSafe(|| {
            while let Some(record) = generator.next(trial.model()) {
                match trial.step(&record) {
                    Ok(Next::More) => {}
                    Ok(Next::Stopped) => break,
                    Err(what) => return Some(what),
                }
            }
            None
        }));
        result.unwrap_or_else(|_| Some("an invariant of the model".to_owned()))
    })
}

#[test]
fn mistakes_that_break_a_promise_are_noticed_even_if_both_machines_make_them() {
    std::panic::set_hook(Box::new(|_| {}));
    let found = [
        ("a confirm after the deadline", caught_without_comparison::<0>()),
        ("a unit too many", caught_without_comparison::<2>()),
        ("a refusal decided again", caught_without_comparison::<3>()),
        ("the second in line first", caught_without_comparison::<5>()),
        ("an id forgotten early", caught_without_comparison::<6>()),
        ("a shortfall that is never paid", caught_without_comparison::<7>()),
    ];
    drop(std::panic::take_hook());
    for (name, caught) in found {
        assert!(caught.is_some(), "{name} was not noticed");
    }
}

/// Answers changed in one place each must not pass for the answers expected.
#[test]
fn the_comparison_sees_every_changed_byte_that_means_something() {
    let mut generator = Generator::new(3, Lengths::TINY);
    let mut model = Model::new(generator.settings());
    let (mut seen, mut offset) = (0, 0);
    while let Some(record) = generator.next(&model) {
        let Ok(answer) = model.apply(offset, record.append_time_ms, &record.payload) else { break };
        if let Some(expected) = answer {
            for changed in changes(&expected) {
                let bytes = framed(&changed, offset);
                assert!(compare(offset, Some(&expected), Some(&bytes)).is_err(), "{changed:?}");
                seen += 1;
            }
            let bytes = framed(&expected, offset);
            assert_eq!(compare(offset, Some(&expected), Some(&bytes)), Ok(()));
            assert!(compare(offset, None, Some(&bytes)).is_err());
            assert!(compare(offset, Some(&expected), None).is_err());
            assert!(compare(offset + 1, Some(&expected), Some(&bytes)).is_err());
        }
        offset += 1;
    }
    assert!(seen > 1_000, "{seen} changes tried");
}

fn framed(expected: &Expected, offset: u64) -> Vec<u8> {
    use holdfast_contracts::decision::{Envelope, write_chain, write_envelope};
    use holdfast_contracts::{Chain, Offset, OutSeq};
    let mut bytes = Vec::new();
    write_envelope(&mut bytes, Envelope { source_offset: Offset(offset), out_seq: OutSeq(1) });
    write_body(expected, &mut bytes);
    write_chain(&mut bytes, Chain::default());
    bytes
}

fn changes(expected: &Expected) -> Vec<Expected> {
    let mut all = vec![
        Expected { log_time_ms: expected.log_time_ms + 1, ..expected.clone() },
        Expected { intake_id: expected.intake_id ^ 1, ..expected.clone() },
        Expected { first_request_tag: expected.first_request_tag + 1, ..expected.clone() },
    ];
    let mut change = |edit: &dyn Fn(&mut Expected)| {
        let mut changed = expected.clone();
        edit(&mut changed);
        if changed != *expected {
            all.push(changed);
        }
    };
    change(&|it| drop(it.events.pop()));
    change(&|it| it.events.reverse());
    change(&|it| drop(it.decisions.pop()));
    change(&|it| it.decisions.reverse());
    change(&|it| it.decisions.iter_mut().for_each(|decision| decision.replay = !decision.replay));
    change(&|it| {
        for decision in &mut it.decisions {
            match &mut decision.outcome {
                Some(Outcome::Refused(refusal)) => refusal.value += 1,
                Some(Outcome::Moved { late, .. }) => *late = !*late,
                Some(Outcome::Reserved { lines, .. }) => lines[0].quantity += 1,
                Some(Outcome::StockChanged { figures, .. }) => figures.shortfall += 1,
                Some(Outcome::SaleChanged { unchanged, .. }) => *unchanged = !*unchanged,
                _ => {}
            }
        }
    });
    // Some answers have no room on the wire for a replay flag.
    let has_no_room =
        |outcome: &Option<Outcome>| matches!(outcome, None | Some(Outcome::RulesActivated { .. }));
    all.retain(|changed| !changed.decisions.iter().any(|d| d.replay && has_no_room(&d.outcome)));
    all
}

#[test]
fn a_machine_that_stops_or_goes_on_at_the_wrong_record_is_noticed() {
    struct Stubborn(ModelMachine, bool);
    impl Machine for Stubborn {
        fn new(settings: Settings) -> Self {
            Self(ModelMachine::new(settings), false)
        }
        fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied {
            let applied = self.0.apply(offset, append_time_ms, payload, out);
            self.1 |= applied == Applied::Stopped;
            if self.1 { Applied::Silent } else { applied }
        }
        fn digest(&self) -> holdfast_contracts::Digest {
            self.0.digest()
        }
    }
    let failure = run_seeds::<Stubborn>(0..300, Lengths::TINY, 1, || true).expect_err("some seeds stop");
    assert!(failure.what.contains("expected the partition to stop"), "{failure}");
}

#[test]
fn a_machine_that_forgets_in_a_checkpoint_is_noticed() {
    struct Forgetful(ModelMachine, u64, Settings);
    impl Machine for Forgetful {
        fn new(settings: Settings) -> Self {
            Self(ModelMachine::new(settings), 0, settings)
        }
        fn apply(&mut self, offset: u64, append_time_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Applied {
            self.1 += 1;
            self.0.apply(offset, append_time_ms, payload, out)
        }
        fn digest(&self) -> holdfast_contracts::Digest {
            holdfast_contracts::Digest(u128::from(self.1))
        }
        fn restored(&mut self) -> Result<Option<Self>, String> {
            Ok(Some(Self::new(self.2)))
        }
    }
    let failure = run_seeds::<Forgetful>(0..1, Lengths::QUICK, 1, || true).expect_err("a digest must differ");
    assert!(failure.what.contains("checkpoint"), "{failure}");
}

/// Cases that once failed, or that show a subtle rule, stay for good.
#[test]
fn regressions_pass() {
    // Looked up at run time: checkouts may share a target directory.
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
    let mut files: Vec<_> = std::fs::read_dir(format!("{package}/regressions"))
        .expect("the folder of regressions")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "case"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let case = Case::from_text(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        run_case::<ModelMachine>(&case).unwrap_or_else(|failure| panic!("{}: {failure}", file.display()));
    }
}

#[test]
fn the_canary_dies_on_its_first_seed() {
    let failure =
        run_seeds::<Canary<ModelMachine>>(0..1, Lengths::TINY, 1, || true).expect_err("it must fail");
    assert!(failure.what.contains("came no output"), "{failure}");
}

#[test]
fn a_trial_tells_where_it_stands() {
    let generator = Generator::new(1, Lengths::TINY);
    let trial = Trial::<ModelMachine>::new(generator.settings());
    assert_eq!(trial.model().log_time_ms(), None);
}
