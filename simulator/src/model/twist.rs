//! Deliberate mistakes, for the tests of the tests: a comparison that misses one of them is blind.

use super::Model;

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Twist {
    /// None.
    #[default]
    Honest,
    /// A hold lives one millisecond too long: expiry only after the deadline.
    ExpiresAfterDeadline,
    /// Expiry in the order of decisions, not of deadlines.
    ExpiresByPlace,
    /// One unit more than there is may be taken.
    OversellsByOne,
    /// Refusals are not remembered.
    ForgetsRefusals,
    /// Anybody may release.
    SkipsOwnerOnRelease,
    /// The second in line is served first.
    ServesSecondFirst,
    /// Ids are forgotten one generation early.
    ForgetsEarly,
    /// Returned units do not cover a shortfall.
    IgnoresShortfall,
    /// Carried-over work starts with the lines, not with the expiries.
    WorksLinesFirst,
}

impl Model {
    #[cfg(test)]
    pub(crate) fn with_twist(mut self, twist: Twist) -> Self {
        self.twist = twist;
        self
    }

    /// Whether this mistake is to be made. Never in a build that is not a test.
    #[inline]
    pub(super) fn twisted(&self, twist: Twist) -> bool {
        cfg!(test) && self.twist == twist
    }
}
