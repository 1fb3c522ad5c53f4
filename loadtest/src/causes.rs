//! Errors in a line.

use std::error::Error;

/// An error and what caused it, each after a colon. A cause that the text ends with already is not said once more: a
/// transparent error says the same as its cause.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !said.ends_with(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = next.source();
    }
    said
}
