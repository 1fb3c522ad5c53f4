//! `loadtest scenarios`.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::{Ending, Form, LoadtestError, Surroundings, csv, json, say};
use crate::scenario::{self, SHIPPED};

/// Which scenarios.
#[derive(Debug, Args)]
pub struct ScenariosArgs {
    /// Print the file of this one; a copy of it is a good beginning for one of your own
    name: Option<String>,
    /// Check this file, and print nothing if it is good
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    check: Option<String>,
}

impl ScenariosArgs {
    pub(super) fn execute(
        &self,
        around: &Surroundings,
        out: &mut dyn Write,
    ) -> Result<Ending, LoadtestError> {
        if let Some(file) = &self.check {
            crate::run::open_scenario(file)?;
            return Ok(Ending::Done);
        }
        if let Some(name) = &self.name {
            let shipped = SHIPPED.iter().find(|it| it.name == *name);
            let shipped =
                shipped.ok_or_else(|| LoadtestError::Usage(format!("no scenario is called {name}")))?;
            say(out, shipped.text.trim_end())?;
            return Ok(Ending::Done);
        }
        let all = SHIPPED.iter().map(|it| {
            let about = scenario::read("", it.text).map(|it| it.about).unwrap_or_default();
            [it.name.to_owned(), about]
        });
        let text = match around.form {
            Form::Json => {
                json(&all.map(|[name, about]| json!({ "name": name, "about": about })).collect::<Vec<_>>())?
            }
            Form::Csv => csv(&["name", "about"], all)?,
            Form::Text => {
                let width = SHIPPED.iter().map(|it| it.name.len()).max().unwrap_or_default();
                all.map(|[name, about]| format!("{name:width$}  {about}")).collect::<Vec<_>>().join("\n")
            }
        };
        say(out, &text)?;
        Ok(Ending::Done)
    }
}
