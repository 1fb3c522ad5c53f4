//! Development tokens, signed with the key pair that a server without configured keys trusts.

use std::time::Duration;

use holdfast_intake::keys::DevelopmentKeys;

use crate::config::Loaded;
use crate::data::DataDir;
use crate::failure::{Exit, Failure};
use crate::output;

/// How long the token of an operator's command is good for.
const OPERATOR_TTL: Duration = Duration::from_secs(60);

/// Prints a token and nothing else.
pub(crate) fn run(loaded: &Loaded, subject: &str, scopes: &[String], ttl: Duration) -> Result<(), Failure> {
    if subject.is_empty() {
        return Err(Failure::usage("a token needs a subject"));
    }
    let keys = keys(loaded)?;
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    output::data(&keys.issue(subject, &scopes, ttl))
}

/// A token that an operator's command sends, if nobody gave one.
pub(crate) fn for_operator(loaded: &Loaded) -> Result<String, Failure> {
    let keys = keys(loaded).map_err(|failure| {
        let before = failure.advice.clone().map(|advice| format!("{advice}; ")).unwrap_or_default();
        failure.advise(format!(
            "{before}or give a token with the operators' scope with --token or HOLDFAST_TOKEN"
        ))
    })?;
    Ok(keys.issue("holdfast", &[&loaded.config.intake.auth.admin_scope], OPERATOR_TTL))
}

fn keys(loaded: &Loaded) -> Result<DevelopmentKeys, Failure> {
    let config = &loaded.config;
    let data = DataDir::new(&config.data_dir);
    let production = config.production || data.is_in_production();
    if production || config.intake.auth.keys_file.is_some() {
        let why = if production { "this is production mode" } else { "keys are configured" };
        return Err(Failure::new(
            Exit::Failed,
            "NO_DEVELOPMENT_TOKENS",
            format!("no development tokens are issued: {why}"),
        )
        .advise("ask the identity provider whose keys are configured"));
    }
    data.must_be_one()?;
    let keys = DevelopmentKeys::open(data.root()).map_err(|error| crate::id_key::refused(&error))?;
    keys.ok_or_else(|| {
        let detail = format!("{} has no development keys yet", data.root().display());
        Failure::new(Exit::Unavailable, "NO_DEVELOPMENT_KEYS", detail).advise(
            "start a server on it without configured keys: `holdfast up` makes them before it is ready",
        )
    })
}
