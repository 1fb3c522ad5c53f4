//! Measurements, always next to a peer or a bare baseline in the same run.
//!
//! The work that is measured ([`work`]), the bare baselines it is held against ([`bare`]), and what is needed to tell
//! time and count ([`clock`], [`counting`]). The criterion benches and the rows of `holdfast-bench` share them.

pub mod bare;
pub mod clock;
pub mod counting;
pub mod pipeline;
pub mod work;
