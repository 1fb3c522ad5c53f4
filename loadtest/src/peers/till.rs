//! Many who ask at once, each over a connection of its own, each waiting for its answer before it asks again.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::error::PeersError;
use super::told::{Feed, Told};
use super::work::{Answer, Request, Work};

/// A connection to a system.
pub(super) trait Till: Send + 'static {
    /// Asks for a unit, in one round trip. What is no answer is told in words.
    fn reserve(&mut self, request: &Request) -> impl Future<Output = Result<Answer, String>> + Send;
}

/// Asks for all that the feed hands out.
pub(super) async fn ask(tills: Vec<impl Till>, work: Work, feed: &Arc<Feed>) -> Result<Told, PeersError> {
    feed.start();
    let began = Instant::now();
    let mut buyers = JoinSet::new();
    for till in tills {
        buyers.spawn(buyer(till, work, Arc::clone(feed)));
    }
    let mut told = Told::new();
    while let Some(buyer) = buyers.join_next().await {
        told.add(buyer.map_err(|_| PeersError::Panicked)?);
    }
    told.took = began.elapsed();
    Ok(told)
}

async fn buyer(mut till: impl Till, work: Work, feed: Arc<Feed>) -> Told {
    let mut told = Told::new();
    while let Some(number) = feed.take() {
        let request = work.request(number);
        let sent = Instant::now();
        let answer = till.reserve(&request).await;
        let is_broken = answer.is_err();
        told.note(number, answer, sent.elapsed());
        if is_broken {
            // Nothing that comes over this connection can be trusted any more.
            break;
        }
    }
    told
}
