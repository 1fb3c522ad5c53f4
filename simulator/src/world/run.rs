//! Runs of worlds: one seed or one case, and a failing case made small.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::draw::Draw;
use super::story::Story;
use super::{Action, Canary, World, WorldCase};
use crate::rng::{Rng, splitmix64};
use crate::run::{Failure, Part, Stats, panic_message};
use crate::shrink::smaller_records;

/// Keeps the world of a seed apart from its machine.
const WORLD: u64 = 0x776f_726c_6477_6964;

/// The story of a seed and its schedule.
#[must_use]
pub fn story_of_seed(seed: u64) -> (Story, Draw) {
    let mut rng = Rng::new(splitmix64(seed ^ WORLD));
    let story = Story::draw(seed, &mut rng);
    let draw = Draw::new(&story, rng);
    (story, draw)
}

/// Runs the world of a seed.
///
/// # Errors
/// Where it went wrong.
pub fn run_world(seed: u64, canary: Canary) -> Result<Stats, Failure> {
    tell(seed, canary, |_| {})
}

/// The world of a seed as a case: everything that happens until it fails, or until its end.
#[must_use]
pub fn case_of_seed(seed: u64, canary: Canary) -> WorldCase {
    let mut actions = Vec::new();
    let result = tell(seed, canary, |action| actions.push(action.clone()));
    let about = result
        .err()
        .map_or_else(|| format!("seed {seed}"), |failure| format!("seed {seed}: {}", failure.what));
    WorldCase { about, setup: story_of_seed(seed).0.setup, actions }
}

fn tell(seed: u64, canary: Canary, mut heard: impl FnMut(&Action)) -> Result<Stats, Failure> {
    let (story, mut draw) = story_of_seed(seed);
    let mut world = World::new(&story.setup, canary);
    let told = play(&mut world, |world| {
        let action = draw.next(world)?;
        heard(&action);
        Some(action)
    });
    told.map_err(|(offset, what)| Failure {
        part: Part::World,
        seed: Some(seed),
        options: format!("{story:#?}"),
        offset,
        what,
    })
}

/// Runs a case.
///
/// # Errors
/// Where it went wrong.
pub fn run_world_case(case: &WorldCase, canary: Canary) -> Result<Stats, Failure> {
    let mut world = World::new(&case.setup, canary);
    let mut actions = case.actions.iter().cloned();
    play(&mut world, |_| actions.next()).map_err(|(offset, what)| Failure {
        part: Part::World,
        seed: None,
        options: case.about.clone(),
        offset,
        what,
    })
}

/// Runs a case and tells after each action where everybody stands. Gives what went wrong, if anything.
///
/// # Errors
/// What `tell` says.
pub fn trace_world_case<E>(
    case: &WorldCase,
    canary: Canary,
    mut tell: impl FnMut(&str) -> Result<(), E>,
) -> Result<Result<(), String>, E> {
    let mut world = World::new(&case.setup, canary);
    for action in &case.actions {
        let mut text = String::new();
        action.describe(&mut text);
        tell(&text)?;
        let done = world.apply(action);
        tell(&world.standing())?;
        if done.is_err() {
            return Ok(done);
        }
    }
    let healed = world.heal();
    tell("healed\n")?;
    tell(&world.standing())?;
    Ok(healed.and_then(|()| world.end()))
}

/// Lets things happen until there are no more, heals the world, and lets it end.
fn play(world: &mut World, mut next: impl FnMut(&World) -> Option<Action>) -> Result<Stats, (u64, String)> {
    let mut done = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        while let Some(action) = next(world) {
            world.apply(&action)?;
            done += 1;
        }
        world.heal()?;
        world.end()
    }));
    match result {
        Ok(Ok(())) => Ok(world.stats(done)),
        Ok(Err(what)) => Err((done, what)),
        Err(panic) => Err((done, format!("panic: {}", panic_message(panic.as_ref())))),
    }
}

impl World {
    fn stats(&self, actions: u64) -> Stats {
        let mut stats = Stats { worlds: 1, actions, ..Stats::default() };
        for truth in &self.truths {
            let (decisions, events) = truth.reader.applied();
            stats.records += truth.end();
            stats.decisions += decisions;
            stats.events += events;
            stats.marks.add(truth.model().marks());
        }
        stats.world.add(&self.marks);
        stats
    }
}

/// Makes a failing case small: fewer actions, then smaller commands, then a kinder setup, as long as it still fails. Asks at
/// most `tries_max` times.
pub fn shrink_world(
    case: &WorldCase,
    mut tries_max: u32,
    mut fails: impl FnMut(&WorldCase) -> bool,
) -> WorldCase {
    let mut best = case.clone();
    let mut ask = |candidate: &WorldCase| {
        if tries_max == 0 {
            return false;
        }
        tries_max -= 1;
        fails(candidate)
    };
    loop {
        let before = best.clone();
        drop_actions(&mut best, &mut ask);
        shrink_commands(&mut best, &mut ask);
        forget_hosts(&mut best, &mut ask);
        if best == before {
            return best;
        }
    }
}

fn take_if(best: &mut WorldCase, candidate: WorldCase, ask: &mut impl FnMut(&WorldCase) -> bool) -> bool {
    let better = candidate != *best && ask(&candidate);
    if better {
        *best = candidate;
    }
    better
}

/// Delta debugging: large pieces first, from the end, where what does not matter is.
fn drop_actions(best: &mut WorldCase, ask: &mut impl FnMut(&WorldCase) -> bool) {
    let mut piece = best.actions.len() / 2;
    while piece > 0 {
        let mut end = best.actions.len();
        while end > 0 {
            let start = end.saturating_sub(piece);
            let mut candidate = best.clone();
            candidate.actions.drain(start..end);
            take_if(best, candidate, ask);
            end = start.min(best.actions.len());
        }
        piece /= 2;
    }
}

fn shrink_commands(best: &mut WorldCase, ask: &mut impl FnMut(&WorldCase) -> bool) {
    for n in 0..best.actions.len() {
        let mut again = true;
        while again {
            again = false;
            let Action::Append { partition, at, payload } = best.actions[n].clone() else { break };
            for payload in smaller_records(&best.setup.settings(partition), &payload) {
                let mut candidate = best.clone();
                candidate.actions[n] = Action::Append { partition, at, payload };
                if take_if(best, candidate, ask) {
                    again = true;
                    break;
                }
            }
        }
    }
}

/// The last host goes, with all it does.
fn forget_hosts(best: &mut WorldCase, ask: &mut impl FnMut(&WorldCase) -> bool) {
    while best.setup.hosts.len() > 1 {
        let mut candidate = best.clone();
        let Some(last) = candidate.setup.hosts.pop() else { return };
        // Nobody would work for its partition.
        if !candidate.setup.hosts.iter().any(|host| host.partition == last.partition) {
            return;
        }
        let setup = candidate.setup.clone();
        candidate.actions.retain(|action| setup.has(action));
        if !take_if(best, candidate, ask) {
            return;
        }
    }
}
