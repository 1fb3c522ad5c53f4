//! The names of all settings, and the nearest one to a name that is none.

use serde_json::Value;

use super::Config;
use crate::failure::Failure;

/// A setting that is not the user's: the intake is told where the data directory is.
const HIDDEN: &str = "intake.data_dir";
/// Settings that are not written down while they are not set.
const UNSET: [&str; 2] = ["kafka.bootstrap", "kafka.client_id"];
/// The section that takes the settings of the client library as well; it looks after its names itself.
const OPEN: &str = "kafka.";
/// Names that are less alike are not worth a suggestion.
const ALIKE_MIN: f64 = 0.7;

/// All settings by their full names, sections left out.
pub(crate) fn known() -> Vec<String> {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut names = Vec::new();
    collect(&defaults, "", &mut names);
    names.retain(|name| name != HIDDEN);
    names.extend(UNSET.map(str::to_owned));
    names
}

fn collect(value: &Value, prefix: &str, names: &mut Vec<String>) {
    let Value::Object(members) = value else { return names.push(prefix.to_owned()) };
    for (name, member) in members {
        collect(member, &joined(prefix, name), names);
    }
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Refuses the first name in the table that is no setting's, and names the one that may have been meant.
pub(super) fn refuse_unknown(table: &toml::Table) -> Result<(), Failure> {
    let known = known();
    let mut given = Vec::new();
    flatten(table, "", &known, &mut given);
    let is_unknown = |name: &&String| !known.contains(name) && !name.starts_with(OPEN);
    let Some(unknown) = given.iter().find(is_unknown) else { return Ok(()) };
    let failure = Failure::usage(format!("there is no setting `{unknown}`"));
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    // A right name in the wrong section is nearer than a similar name in the right one.
    let alike = |name: &String| {
        let same_name = if last(name) == last(unknown) { 1.0 } else { 0.0 };
        f64::max(same_name, strsim::jaro_winkler(name, unknown))
    };
    let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    Err(match nearest {
        Some(name) if alike(name) >= ALIKE_MIN => failure.advise(format!("did you mean `{name}`?")),
        _ => failure.advise("config/holdfast.toml lists all settings"),
    })
}

fn flatten(table: &toml::Table, prefix: &str, known: &[String], given: &mut Vec<String>) {
    for (name, value) in table {
        let name = joined(prefix, name);
        let section = format!("{name}.");
        let is_section = known.iter().any(|it| it.starts_with(&section));
        match value {
            toml::Value::Table(inner) if is_section => flatten(inner, &name, known, given),
            // A section that is given a plain value is told apart by the reader of the values.
            _ if is_section => {}
            _ => given.push(name),
        }
    }
}
