//! Bugs planted on purpose, one per compile-time feature, to see that they are caught.
//!
//! A checker that has never failed may be blind. Each bug here is one that somebody could really make, at the place where
//! it would be made; `scripts/mutants` builds the machine with one bug at a time and runs the layer that must catch it. No
//! other build has any of them.

/// Which check must catch a planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The machine alone: comparison with the model, audit, invariants, restored checkpoints.
    Machine,
    /// The engine in a world with crashes.
    World,
}

impl Layer {
    /// Its name on the command line and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::World => "world",
        }
    }
}

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// Name of the feature that plants it.
    pub feature: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
    /// Who must notice.
    pub layer: Layer,
    /// Whether this build has it.
    pub is_built: bool,
}

macro_rules! planted {
    ($($feature:literal $layer:ident $what:literal,)*) => {
        /// All planted bugs, in the order of their numbers.
        pub const PLANTED: &[Planted] = &[$(Planted {
            feature: $feature,
            what: $what,
            layer: Layer::$layer,
            is_built: cfg!(feature = $feature),
        },)*];
    };
}

planted! {
    "mutant-01" Machine "one unit more than there is may be taken",
    "mutant-02" Machine "only one unit is taken whatever the quantity",
    "mutant-03" Machine "a reserve command is decided again when it is repeated",
    "mutant-04" Machine "refusals are not remembered",
    "mutant-05" World "checkpoints do not have the remembered ids",
    "mutant-06" Machine "ids are forgotten one generation early",
    "mutant-07" Machine "holds expire one millisecond early",
    "mutant-08" Machine "a deadline beyond one turn of the wheel is lost",
    "mutant-09" Machine "a hold past its deadline can be confirmed",
    "mutant-10" Machine "a confirmed hold expires too",
    "mutant-11" Machine "log time is the last append time, not the highest",
    "mutant-12" World "the owner's own clock decides what is over",
    "mutant-13" World "a checkpoint says it has one command more",
    "mutant-14" World "a checkpoint says it has one command less",
    "mutant-15" World "a checkpoint has the offset of a later batch",
    "mutant-16" Machine "the order of lines is that of a hash map",
    "mutant-17" World "a limit comes from the settings of the owner",
    "mutant-18" World "emitting goes on after the last output in the log, gap or not",
    "mutant-21" World "commands are answered before they are durable",
    "mutant-26" Machine "the second in line is served before the first",
    "mutant-27" Machine "the last unit is reported as sold out",
    "mutant-28" Machine "an adjustment is not counted on hand",
    "mutant-30" Machine "an activated rules version is ignored",
    "mutant-31" Machine "an operator's command is taken from a record without an authentication code",
}

/// The list as text for the script that runs it: feature, layer, whether it is built in, what it is; separated by tabs.
#[must_use]
pub fn table() -> String {
    PLANTED.iter().fold(String::new(), |text, it| {
        let built = if it.is_built { "built" } else { "-" };
        text + &format!("{}\t{}\t{built}\t{}\n", it.feature, it.layer.name(), it.what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_build_has_no_planted_bug() {
        assert_eq!(PLANTED.iter().find(|it| it.is_built), None);
    }

    #[test]
    fn each_is_listed_once() {
        assert!(PLANTED.is_sorted_by(|a, b| a.feature < b.feature));
        assert_eq!(table().lines().count(), PLANTED.len());
    }
}
