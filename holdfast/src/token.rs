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
    let data = DataDir::new(&loaded.config.data_dir);
    if !data.root().is_dir() {
        return Err(Failure::usage(format!(
            "there is no token, and no data directory {} with development keys",
            data.root().display()
        ))
        .advise("give a token with --token or HOLDFAST_TOKEN, or the server's data directory with --data"));
    }
    let keys = keys(loaded).map_err(|failure| {
        failure.advise("give a token with the operators' scope with --token or HOLDFAST_TOKEN")
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
    crate::up::make_directory(data.root())?;
    DevelopmentKeys::open_or_create(data.root()).map_err(|error| {
        Failure::of("KEYS", "opening the development keys", &error)
            .advise("run as the user that runs the server, or name its data directory with --data")
    })
}
