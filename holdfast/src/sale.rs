//! Sales: validated without a server, defined, opened, paused, closed and shown over HTTP.

pub(crate) mod file;

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::client::{Client, Method, segment};
use crate::failure::{Exit, Failure};
use crate::output::{Answer, Output, Table, confirm};
use file::{Flaw, SaleFile};

/// What is to be done with a sale that a server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Open,
    Pause { freeze_ttl: bool },
    Close { yes: bool },
    Status,
}

#[derive(Debug, Serialize)]
struct Checked {
    id: String,
    valid: bool,
    flaws: Vec<Flaw>,
}

impl Answer for Checked {
    fn main_table(&self) -> Table {
        let mut table = Table::new(&["sale", "where", "what"]);
        if self.flaws.is_empty() {
            table.row([self.id.clone(), String::new(), "valid".to_owned()]);
        }
        for flaw in &self.flaws {
            table.row([self.id.clone(), flaw.pointer.clone(), flaw.detail.clone()]);
        }
        table
    }
}

/// Checks a file without asking anybody.
pub(crate) fn validate(path: &Path, partitions: u32, output: Output) -> Result<(), Failure> {
    let (file, flaws) = SaleFile::read(path, partitions)?;
    let id = file.map(|file| file.id).unwrap_or_default();
    let checked = Checked { id, valid: flaws.is_empty(), flaws };
    output.answer(&checked)?;
    if checked.valid {
        return Ok(());
    }
    Err(Failure::new(Exit::Findings, "SALE_INVALID", format!("{} flaws", checked.flaws.len())))
}

/// Sends a file to the server.
pub(crate) fn define(client: &Client, path: &Path, partitions: u32, output: Output) -> Result<(), Failure> {
    let (file, flaws) = SaleFile::read(path, partitions)?;
    if let Some(flaw) = flaws.first() {
        let detail = format!("{}: {}: {}", path.display(), flaw.pointer, flaw.detail);
        return Err(Failure::new(Exit::Usage, "SALE_INVALID", detail)
            .advise("`holdfast sale validate` lists everything that is wrong"));
    }
    let Some(file) = file else { return Err(Failure::usage("the file defines no sale")) };
    let path = format!("/v1/admin/sales/{}", segment(&file.id));
    output.answer(&client.send(Method::Put, &path, Some(&file.body()))?)
}

/// Changes or shows a sale that the server knows.
pub(crate) fn change(client: &Client, id: &str, change: &Change, output: Output) -> Result<(), Failure> {
    let path = format!("/v1/admin/sales/{}", segment(id));
    let said = match change {
        Change::Open => client.send(Method::Post, &format!("{path}/open"), None)?,
        Change::Pause { freeze_ttl } => {
            let body = freeze_ttl.then(|| json!({"freeze_ttl": true}));
            client.send(Method::Post, &format!("{path}/pause"), body.as_ref())?
        }
        Change::Close { yes } => {
            if !yes {
                let question = format!("Close sale {id} for good?");
                confirm(&question, "a closed sale cannot be opened again")?;
            }
            client.send(Method::Post, &format!("{path}/close"), None)?
        }
        Change::Status => client.send(Method::Get, &path, None)?,
    };
    output.answer(&said)
}
