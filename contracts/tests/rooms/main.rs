//! Who may import whom. Reads the workspace as cargo sees it and holds it against the arrows of `docs/architecture.md`.

mod arrows;
mod features;
mod manifests;
mod semantics;

use arrows::{Kind, Package};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where this package lies. Asked for at run time: checkouts may share a target directory, and then the place where a test
/// was compiled is not the place where it runs.
fn package_root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies").into()
}

/// The workspace as `cargo metadata` describes it, without anything beyond its members.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(package_root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("cargo metadata says {key}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("cargo metadata lists {key}"))
}

fn package(value: &Value) -> Package {
    let depends = list(value, "dependencies").iter().map(|dependency| {
        let kind = match dependency["kind"].as_str() {
            None => Kind::Normal,
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            Some(other) => panic!("cargo knows a new kind of dependency: {other}"),
        };
        (text(dependency, "name").to_owned(), kind)
    });
    Package { name: text(value, "name").to_owned(), depends: depends.collect() }
}

fn features_of(value: &Value) -> features::Features {
    let strings = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("cargo lists features");
        list.iter().map(|it| it.as_str().expect("features are text").to_owned()).collect()
    };
    let declared = value["features"].as_object().expect("cargo lists features");
    features::Features {
        package: text(value, "name").to_owned(),
        declared: declared.iter().map(|(name, enables)| (name.clone(), strings(enables))).collect(),
        asked: list(value, "dependencies").iter().flat_map(|it| strings(&it["features"])).collect(),
    }
}

fn manifest(path: &Path) -> toml::Table {
    let text = std::fs::read_to_string(path).expect("cargo names manifests that exist");
    text.parse().expect("cargo has read it already")
}

fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn arrows_between_rooms_point_one_way() {
    let packages: Vec<_> = list(&metadata(), "packages").iter().map(package).collect();
    none(&arrows::violations(&packages));
}

#[test]
fn versions_and_lints_stand_in_the_root_manifest() {
    let metadata = metadata();
    let root = PathBuf::from(text(&metadata, "workspace_root")).join("Cargo.toml");
    let mut violations = manifests::violations_of_root(&manifest(&root));
    for package in list(&metadata, "packages") {
        let member = manifest(Path::new(text(package, "manifest_path")));
        violations.extend(manifests::violations_of_member(text(package, "name"), &member));
    }
    none(&violations);
}

#[test]
fn no_ordinary_build_has_a_planted_bug() {
    let packages: Vec<_> = list(&metadata(), "packages").iter().map(features_of).collect();
    none(&features::violations(&packages));
    assert!(
        packages.iter().any(features::Features::plants),
        "the planted bugs are features, or this test is blind"
    );
}

#[test]
fn each_case_on_the_page_of_semantics_has_its_test() {
    let root = PathBuf::from(text(&metadata(), "workspace_root"));
    let page = std::fs::read_to_string(root.join("docs/semantics.md")).expect("the page is there");
    none(&semantics::violations(&root, &page));
}
