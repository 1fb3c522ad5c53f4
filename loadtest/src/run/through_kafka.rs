//! A run whose buyers ask through Kafka.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use super::RunError;
use super::audit::{Question, asked_of};
use super::config::RunConfig;
use super::crew::{self, News};
use super::target::Target;
use crate::books::{Answer, Ask, Exchange, Moment, Stopwatch};
use crate::causes;
use crate::checks::{History, Hold, Reply, SaleFacts};
use crate::drive::Cast;
use crate::kafka::{self, Post, ReadBack, Worker, WorkerConfig};
use crate::scenario::Scenario;

/// Commands under way at most, in the open model. What comes beyond is dropped.
pub(super) const UNDER_WAY_MAX: u32 = 100_000;

/// Finds the log if the run is to go through it, and says so where the target is named.
pub(super) fn open(
    config: &RunConfig,
    scenario: &Scenario,
    run: u64,
    target: &mut Target,
) -> Result<Option<Arc<Post>>, RunError> {
    let Some(through) = &config.through_kafka else { return Ok(None) };
    kafka::check(scenario)?;
    let post = Post::open(through, run)?;
    target.base = format!("{}, set up at {}", post.name(), target.base);
    Ok(Some(Arc::new(post)))
}

/// Starts the one worker that there is. It begins at T0, which is the beginning of the watch.
pub(super) fn start(
    cast: &Arc<Cast>,
    post: &Arc<Post>,
    watch: Stopwatch,
    is_over: &Arc<AtomicBool>,
    news: &Sender<News>,
) {
    let post = post.clone();
    crew::spawn(cast, 0, 1, is_over, news, move |crowd| {
        let cast = crowd.cast();
        let is_closed = cast.is_closed();
        let under_way = if is_closed { *cast.scenario.connections.get_ref() } else { UNDER_WAY_MAX };
        let under_way_max = usize::try_from(under_way).unwrap_or(usize::MAX);
        let config = WorkerConfig { under_way_max, is_closed };
        let skus = cast.wording.skus();
        let worker = Worker::new(&post, crowd, skus, config, watch).map_err(io::Error::other)?;
        watch.wait_for_start();
        let (crowd, mut standing) = worker.run();
        Ok(crowd.finish(&mut standing))
    });
}

/// Asks every key again, reads all decisions again, and writes down for each hold how it stands by them. Says what must not
/// be in a log and was; brokers that give nothing any more are a verdict, too.
pub(super) fn audit(
    post: &Post,
    skus: &[String],
    watch: Stopwatch,
    facts: &SaleFacts,
    keys: &[Question],
    books: &mut Vec<Exchange>,
) -> Vec<String> {
    let asked = kafka::ask_all(post, skus, watch, keys, books);
    let mut faults: Vec<String> = asked.err().iter().map(|it| said("asking again", it)).collect();
    let back = kafka::read_back(post).unwrap_or_else(|error| {
        faults.push(said("reading all decisions again", &error));
        ReadBack::default()
    });
    let received = watch.now();
    let told: Vec<Exchange> = asked_of(facts, books, |history| {
        history.holds.iter().filter_map(|hold| stands(history, hold, &back, received)).collect()
    });
    books.extend(told);
    faults.extend(post.faults());
    faults.extend(back.faults);
    faults
}

/// How a hold stands by the log, if the log knows it.
///
/// What the log says holds as of its own last record. That is behind the answer to whoever asked last for the key of the
/// hold, and may be long ago if nobody decides any more: so this counts as asked when the key was, and not now.
fn stands(history: &History, hold: &Hold, back: &ReadBack, received: Moment) -> Option<Exchange> {
    let was_told = |it: &&Reply| it.sent >= history.facts.ended && it.answer.is_decision();
    let sent = history.entry(hold).replies.iter().filter(was_told).map(|it| it.sent).max()?;
    let state = back.state(&hold.id)?;
    let reservation = hold.id.clone();
    let answer = Answer::Stands { reservation: reservation.clone(), state };
    Some(Exchange { sent, received, ask: Ask::Read { reservation }, answer })
}

/// The error with its causes.
fn said(what: &str, error: &dyn Error) -> String {
    format!("{what}: {}", causes(error))
}
