//! What a worker begins with: its last checkpoint, one that stands in for it, or nothing.

use std::sync::Arc;

use holdfast_contracts::Offset;
use holdfast_log::{ReadError, Watermarks};

use super::open::check_anchor;
use crate::anchor::Anchor;
use crate::machine::{Machine, Restoring};
use crate::stop::StopReason;
use crate::store::{CheckpointStore, PageVisitor, StoreError};

/// A machine, and where in its log it stands.
pub(super) struct Begun<M> {
    pub(super) machine: M,
    pub(super) anchor: Anchor,
    /// What was wrong with the checkpoints that would have been preferred.
    pub(super) damage: Option<String>,
}

/// Chooses what to begin with. `beginning` is the anchor of nothing in this log, and `look` tells where its commands begin and
/// end.
///
/// # Errors
/// [`StopReason`] if a checkpoint and the log do not belong together, or nothing that there is reaches what the log has.
pub(super) fn begin<M: Machine>(
    config: &M::Config,
    beginning: &Anchor,
    store: &mut impl CheckpointStore,
    look: impl FnOnce() -> Result<Watermarks, ReadError>,
) -> Result<Begun<M>, StopReason> {
    match choose(config, beginning, store, look) {
        // An archive without the one that is needed may be the folder that another is mounted over.
        Err(gap @ (StopReason::TrimGap { .. } | StopReason::CheckpointLost { .. }))
            if store.looks_elsewhere() =>
        {
            let doing = "looking for a checkpoint that the log goes on from";
            Err(StopReason::Store(StoreError::Archive { doing, source: Arc::new(gap) }))
        }
        chosen => chosen,
    }
}

fn choose<M: Machine>(
    config: &M::Config,
    beginning: &Anchor,
    store: &mut impl CheckpointStore,
    look: impl FnOnce() -> Result<Watermarks, ReadError>,
) -> Result<Begun<M>, StopReason> {
    // What is wrong with one that cannot be told is said when it is loaded.
    let own = store.anchor().ok().flatten();
    let newer = store.stand_ins(own.as_ref().map(|anchor| anchor.next_offset));
    // The log is looked at after the checkpoints: an owner that goes on may write another one meanwhile.
    let mut choice = Choice { config, beginning, marks: look()?, store, damage: Vec::new() };
    // Before anything is loaded: a checkpoint of another log is not one that is damaged.
    let gap = own.as_ref().map_or(Ok(()), |own| choice.check(own)).err();
    match gap {
        None | Some(StopReason::TrimGap { .. }) => {}
        Some(foreign) => return Err(foreign),
    }
    let unlisted = newer.as_ref().err().cloned();
    let newer = newer.unwrap_or_default();
    if let Some(begun) = choice.stand_in(&newer)? {
        return Ok(begun);
    }
    if let Some(gap) = gap {
        if let Some(begun) = choice.others(&newer)? {
            return Ok(begun);
        }
        return Err(unlisted.map_or_else(|| choice.lost(gap), StopReason::Store));
    }
    match load::<M>(config, |visit| choice.store.load(visit)) {
        Ok(Some((machine, anchor))) => return Ok(Begun { machine, anchor, damage: choice.said() }),
        Ok(None) => {}
        Err(error) if error.is_damage() => {
            choice.damage.push(error.to_string());
            // Without one of its own, all have been tried.
            if own.is_some()
                && let Some(begun) = choice.others(&newer)?
            {
                return Ok(begun);
            }
        }
        Err(error) => return Err(error.into()),
    }
    choice.nothing(unlisted)
}

/// What is known while it is made.
struct Choice<'a, M: Machine, S> {
    config: &'a M::Config,
    beginning: &'a Anchor,
    marks: Watermarks,
    store: &'a mut S,
    damage: Vec<String>,
}

impl<M: Machine, S: CheckpointStore> Choice<'_, M, S> {
    fn check(&self, anchor: &Anchor) -> Result<(), StopReason> {
        check_anchor(anchor, self.beginning, self.marks.low, self.marks.end)
    }

    /// The machine of the first of these that can be loaded and that the log goes on from.
    fn stand_in(&mut self, anchors: &[Anchor]) -> Result<Option<Begun<M>>, StopReason> {
        for named in anchors {
            match self.check(named) {
                // The log has forgotten what comes after it.
                Err(StopReason::TrimGap { .. }) => continue,
                checked => checked?,
            }
            let loaded = load::<M>(self.config, |visit| self.store.load_stand_in(named, visit));
            match loaded {
                Ok(Some((mut machine, anchor))) => {
                    // It may have been replaced by another since it was named.
                    self.check(&anchor)?;
                    // What the store has of the last one is of no use.
                    self.store.begin_whole();
                    machine.write_whole_checkpoint_next();
                    return Ok(Some(Begun { machine, anchor, damage: self.said() }));
                }
                Ok(None) => {}
                Err(error) => self.damage.push(format!("one up to offset {}: {error}", named.next_offset)),
            }
        }
        Ok(None)
    }

    /// The same, of all there are beside those that were tried.
    fn others(&mut self, tried: &[Anchor]) -> Result<Option<Begun<M>>, StopReason> {
        let mut others = self.store.stand_ins(None).unwrap_or_default();
        others.retain(|anchor| !tried.contains(anchor));
        self.stand_in(&others)
    }

    /// A machine that has seen nothing, if the log still has everything.
    fn nothing(mut self, unlisted: Option<StoreError>) -> Result<Begun<M>, StopReason> {
        let low = self.marks.low;
        if low > Offset(0) {
            let gap = StopReason::TrimGap { needed: Offset(0), low };
            return Err(unlisted.map_or_else(|| self.lost(gap), StopReason::Store));
        }
        if !self.damage.is_empty() {
            self.store.begin_whole();
        }
        // Better to decide everything again than to wait for an archive that is away.
        self.damage.extend(unlisted.map(|error| error.to_string()));
        let damage = self.said();
        Ok(Begun { machine: M::fresh(self.config), anchor: self.beginning.clone(), damage })
    }

    /// Why there is nothing to begin with.
    fn lost(&self, gap: StopReason) -> StopReason {
        match self.said() {
            Some(damage) => StopReason::CheckpointLost { damage, low: self.marks.low },
            None => gap,
        }
    }

    fn said(&self) -> Option<String> {
        (!self.damage.is_empty()).then(|| self.damage.join("; "))
    }
}

/// Builds a machine from the checkpoint that `read` hands out page by page, and makes sure that it is the one saved.
pub(crate) fn load<M: Machine>(
    config: &M::Config,
    read: impl FnOnce(&mut PageVisitor<'_>) -> Result<Option<Anchor>, StoreError>,
) -> Result<Option<(M, Anchor)>, StoreError> {
    let mut restore = M::restore(config);
    let anchor = read(&mut |kind, number, bytes| restore.page(kind, number, bytes))?;
    let Some(anchor) = anchor else { return Ok(None) };
    let machine = restore.finish()?;
    if machine.digest() != anchor.digest {
        return Err(StoreError::Damaged("the anchor names another digest than its state has".to_owned()));
    }
    Ok(Some((machine, anchor)))
}
