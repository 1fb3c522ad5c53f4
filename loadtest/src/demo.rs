//! A whole sale: a real server, many buyers over HTTP, the server killed in the middle, and a verdict.

mod audit;
mod buyer;
mod config;
mod organiser;
mod plan;
mod progress;
mod report;
mod run;
mod shop;

pub use config::{ConfigError, DemoConfig};
pub use report::{Report, show};
pub use run::{DemoError, run};
