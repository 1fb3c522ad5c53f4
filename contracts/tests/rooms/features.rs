//! Planted bugs are compile-time features, and nobody switches one on but the simulator, and only when asked.

/// The features of a package, as far as they matter here.
pub(crate) struct Features {
    pub(crate) package: String,
    /// Each feature and what it enables.
    pub(crate) declared: Vec<(String, Vec<String>)>,
    /// Features it wants of its dependencies.
    pub(crate) asked: Vec<String>,
}

/// What the features of planted bugs are called.
const PLANTED: &str = "mutant-";

/// The one package whose features may plant bugs in others.
const SIMULATOR: &str = "holdfast-simulator";

impl Features {
    /// Whether it has a planted bug at all.
    pub(crate) fn plants(&self) -> bool {
        self.declared.iter().any(|(name, _)| is_planted(name))
    }
}

/// What breaks the rule, one sentence each.
pub(crate) fn violations(packages: &[Features]) -> Vec<String> {
    packages.iter().flat_map(of_package).collect()
}

fn of_package(it: &Features) -> Vec<String> {
    let package = &it.package;
    let mut violations: Vec<_> = it
        .asked
        .iter()
        .filter(|feature| is_planted(feature))
        .map(|feature| format!("{package} always asks for {feature}"))
        .collect();
    for (name, enables) in &it.declared {
        for enabled in enables.iter().filter(|enabled| is_planted(enabled)) {
            // A bug of one number goes by the same name everywhere, so one feature never plants two.
            let forwards = package == SIMULATOR && enabled.ends_with(&format!("/{name}"));
            if !forwards {
                violations.push(format!("feature {name} of {package} enables {enabled}"));
            }
        }
    }
    violations
}

/// Whether a feature plants a bug, here (`mutant-01`) or in a dependency (`core/mutant-01`, `core?/mutant-01`).
fn is_planted(feature: &str) -> bool {
    feature.rsplit('/').next().is_some_and(|name| name.starts_with(PLANTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(package: &str, declared: &[(&str, &[&str])], asked: &[&str]) -> usize {
        let strings = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        let declared =
            declared.iter().map(|(name, enables)| ((*name).to_owned(), strings(enables))).collect();
        violations(&[Features { package: package.to_owned(), declared, asked: strings(asked) }]).len()
    }

    #[test]
    fn a_bug_is_planted_on_request_only() {
        assert_eq!(complaints("holdfast-core", &[("mutant-01", &[])], &[]), 0);
        assert_eq!(complaints(SIMULATOR, &[("mutant-01", &["holdfast-core/mutant-01"])], &["std"]), 0);
    }

    #[test]
    fn no_other_way_leads_to_a_planted_bug() {
        assert_eq!(complaints("holdfast-core", &[("default", &["mutant-01"])], &[]), 1);
        assert_eq!(complaints("holdfast", &[("mutant-01", &["holdfast-core/mutant-01"])], &[]), 1);
        assert_eq!(complaints("holdfast", &[("fast", &["holdfast-core?/mutant-01"])], &[]), 1);
        assert_eq!(complaints(SIMULATOR, &[("default", &["holdfast-core/mutant-01"])], &[]), 1);
        assert_eq!(complaints(SIMULATOR, &[("mutant-02", &["holdfast-core/mutant-01"])], &[]), 1);
        assert_eq!(complaints("holdfast-engine", &[], &["mutant-01"]), 1);
    }
}
