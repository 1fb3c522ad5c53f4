//! What a load test does: a file that says who comes when, what they want, and how they behave.

mod check;
mod fault;
mod file;
mod load;
mod shipped;
mod strict;

pub(crate) use fault::{Fault, FaultKind, SERVER, in_order};
pub(crate) use file::{Api, Model, Scenario, Shape, Stage};
pub(crate) use load::{Arrivals, Picker};
pub(crate) use shipped::SHIPPED;

use toml::Spanned;

/// Why a scenario cannot be run, with the line that says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {what}")]
pub struct ScenarioError {
    /// The file, or the scenario that is shipped under this name.
    pub name: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there, and what would be right.
    pub what: String,
}

/// Reads a scenario. `name` is what errors call it.
///
/// # Errors
/// [`ScenarioError`] for the first thing that is wrong in it.
pub(crate) fn read(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    read_with(name, text, |_| ())
}

/// The same with changes, which must be as good as what is written.
pub(crate) fn read_with(
    name: &str,
    text: &str,
    change: impl FnOnce(&mut Scenario),
) -> Result<Scenario, ScenarioError> {
    let at = |offset: usize, what: String| ScenarioError {
        name: name.to_owned(),
        line: text.get(..offset).unwrap_or(text).matches('\n').count() + 1,
        what,
    };
    let mut scenario: Scenario = toml::from_str(text)
        .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    change(&mut scenario);
    check::check(&scenario).map_err(|(offset, what)| at(offset, what))?;
    Ok(scenario)
}

/// Where in the text a value begins.
fn place<T>(value: &Spanned<T>) -> usize {
    value.span().start
}

#[cfg(test)]
mod tests;
