//! `holdfast-crash-check DIR`: reads the evidence of a run and judges it. Text goes to stderr, one JSON object to stdout.
//!
//! Exit codes: 0 pass, 1 fail, 3 inconclusive, 2 when the evidence cannot be read.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use holdfast_crash::check::check;
use holdfast_crash::evidence::Evidence;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory] = &arguments[..] else {
        return say("usage: holdfast-crash-check DIR", 2);
    };
    let evidence = match Evidence::load(&PathBuf::from(directory)) {
        Ok(evidence) => evidence,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|it| format!(": {it}")).unwrap_or_default();
            return say(&format!("{error}{cause}"), 2);
        }
    };
    let verdict = check(&evidence);
    let json = serde_json::to_string(&verdict).unwrap_or_default();
    if writeln!(io::stdout(), "{json}").is_err() {
        return say("the verdict cannot be written", 2);
    }
    say(&verdict.to_string(), verdict.verdict.exit_code())
}

fn say(text: &str, code: u8) -> ExitCode {
    // Nothing can be told to whoever closed stderr.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(code)
}
