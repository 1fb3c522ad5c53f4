//! The rules for manifests: every version, lint and profile has one place, the root.

use toml::{Table, Value};

/// Members that may set lints of their own: the machine, which is stricter, and generated code, which cannot keep ours.
const OWN_LINTS: &[&str] = &["holdfast-core", "holdfast-contracts-reference"];

/// What breaks a rule in the root manifest, one sentence each.
pub(crate) fn violations_of_root(manifest: &Table) -> Vec<String> {
    let dependencies = table(manifest, "workspace").and_then(|it| table(it, "dependencies"));
    let mut violations = Vec::new();
    for (name, entry) in dependencies.into_iter().flatten() {
        let version = entry.as_str().or_else(|| entry.get("version").and_then(Value::as_str));
        match (version, entry.get("path")) {
            (None, Some(_)) => {}
            (Some(version), None) if !version.contains('*') => {}
            _ => violations.push(format!("the root manifest gives {name} neither one version nor one path")),
        }
        if entry.get("git").is_some() {
            violations
                .push(format!("the root manifest takes {name} from a repository, not from the registry"));
        }
    }
    violations
}

/// What breaks a rule in a member's manifest, one sentence each.
pub(crate) fn violations_of_member(name: &str, manifest: &Table) -> Vec<String> {
    let mut violations = Vec::new();
    let targets =
        table(manifest, "target").into_iter().flat_map(|it| it.values().filter_map(Value::as_table));
    for place in std::iter::once(manifest).chain(targets) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, entry) in table(place, kind).into_iter().flatten() {
                if !inherits(entry) {
                    violations.push(format!("{name} declares {dependency} without `workspace = true`"));
                }
                if ["version", "path", "git"].iter().any(|key| entry.get(key).is_some()) {
                    violations
                        .push(format!("{name} says where {dependency} comes from; the root manifest does"));
                }
            }
        }
    }
    let package = table(manifest, "package");
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !package.and_then(|it| it.get(key)).is_some_and(inherits) {
            violations.push(format!("{name} does not inherit `{key}` from the workspace"));
        }
    }
    match manifest.get("lints") {
        Some(lints) if inherits(lints) || OWN_LINTS.contains(&name) => {}
        _ => violations.push(format!("{name} does not have `[lints] workspace = true`")),
    }
    violations
}

fn table<'t>(table: &'t Table, key: &str) -> Option<&'t Table> {
    table.get(key).and_then(Value::as_table)
}

fn inherits(entry: &Value) -> bool {
    entry.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [package]
        name = "m"
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
        publish.workspace = true
        [dependencies]
        serde.workspace = true
        [target.'cfg(unix)'.dependencies]
        rustix = { workspace = true, features = ["fs"] }
        [lints]
        workspace = true
    "#;

    fn complaints(manifest: &str) -> Vec<String> {
        violations_of_member("m", &manifest.parse().expect("TOML"))
    }

    #[test]
    fn a_manifest_that_inherits_everything_is_good() {
        assert_eq!(complaints(GOOD), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_not_inherited_is_noticed() {
        for (good, bad) in [
            ("serde.workspace = true", "serde = \"1\""),
            ("serde.workspace = true", "serde = { workspace = true, version = \"1\" }"),
            ("serde.workspace = true", "serde = { workspace = false }"),
            ("{ workspace = true, features = [\"fs\"] }", "\"1\""),
            ("edition.workspace = true", "edition = \"2024\""),
            ("publish.workspace = true", ""),
            ("[lints]\n        workspace = true", "[lints.clippy]\n        all = \"warn\""),
            ("[lints]\n        workspace = true", ""),
        ] {
            assert!(GOOD.contains(good), "the sample has {good:?}");
            assert!(!complaints(&GOOD.replace(good, bad)).is_empty(), "{bad:?} instead of {good:?}");
        }
    }

    #[test]
    fn the_machine_may_have_stricter_lints() {
        let own = GOOD.replace("[lints]\n        workspace = true", "[lints.clippy]\n        all = \"warn\"");
        let own: Table = own.parse().expect("TOML");
        assert_eq!(violations_of_member("holdfast-core", &own), Vec::<String>::new());
    }

    #[test]
    fn the_root_gives_each_dependency_one_source() {
        let complaints = |entry: &str| {
            let manifest = format!("[workspace.dependencies]\nserde = {entry}");
            violations_of_root(&manifest.parse().expect("TOML")).len()
        };
        assert_eq!(complaints("\"1.0\""), 0);
        assert_eq!(complaints("{ version = \"1.0\", features = [] }"), 0);
        assert_eq!(complaints("{ path = \"serde\" }"), 0);
        assert_eq!(complaints("\"*\""), 1);
        assert_eq!(complaints("{ features = [] }"), 1);
        assert_eq!(complaints("{ version = \"1.0\", git = \"x\" }"), 1);
    }
}
