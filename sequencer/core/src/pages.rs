//! What a checkpoint consists of, as the machine sees it: numbered pages of several kinds.

/// Takes the pages of a checkpoint. All of them become durable together or not at all.
pub trait PageSink {
    /// This page has these bytes from now on.
    fn put(&mut self, kind: u8, page: u64, bytes: &[u8]);
    /// This page is gone.
    fn delete(&mut self, kind: u8, page: u64);
}

/// Kinds of pages, in the order in which a checkpoint is loaded.
pub(crate) mod kind {
    /// Everything small: one page.
    pub(crate) const META: u8 = 0;
    /// Names of SKUs, appended.
    pub(crate) const NAMES: u8 = 1;
    /// Counters of SKUs.
    pub(crate) const SKUS: u8 = 2;
    /// Lines of reservations that need more than their hold has room for.
    pub(crate) const LINES: u8 = 3;
    /// Holds.
    pub(crate) const HOLDS: u8 = 4;
    /// Ids that outlived their generation, as of their last sweep.
    pub(crate) const ELDERS: u8 = 5;
    /// Ids, by generation.
    pub(crate) const IDS: u8 = 6;
}

/// Why pages are not a checkpoint of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No page says what the rest is.
    #[error("the checkpoint has no meta page")]
    NoMeta,
    /// A page is missing, twice, too long or too short.
    #[error("page {page} of kind {kind} does not fit the pages before it")]
    BadPage {
        /// Kind of the page.
        kind: u8,
        /// Its number.
        page: u64,
    },
    /// The parts do not belong together.
    #[error("the checkpoint contradicts itself: {0}")]
    Contradiction(&'static str),
    /// It was written by a version with another layout.
    #[error("the checkpoint has format {found}, this version reads format {known}")]
    Format {
        /// Format found.
        found: u32,
        /// Format known.
        known: u32,
    },
    /// It is another partition's.
    #[error("the checkpoint is of another partition")]
    OtherPartition,
    /// Another control key was in force when it was made, or none, or one where there is none.
    #[error("the checkpoint was made with another control key than the one configured")]
    OtherControlKey,
    /// The state loaded is not the state saved.
    #[error("the state loaded has another digest than the state saved")]
    Digest,
}
