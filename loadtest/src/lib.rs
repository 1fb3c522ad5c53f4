//! Buyers who keep books of what they were told, and the verdict that follows from those books.
//!
//! Nothing here shares arithmetic with the product: the only things this crate knows of the server are its HTTP contract
//! and, in `kafka`, the format of its records. The rooms, from the inside out: `books` is what a run writes down, `checks`
//! is what follows from it, `http` carries requests, `server` runs a server as a child process, and `demo` is a whole sale
//! made of these. `scenario` says what a load test does, `generator` sends requests when they are due, `drive` is the buyers
//! of a scenario, `kafka` lets them ask without the intake, and `run` plays one, with `remote` if other processes are to
//! send. `results` is what a run came to; `report` makes pages and files of it, `compare` holds two of them against each
//! other, and `live` shows one while it goes. `peers` holds the server against what people would use otherwise.

mod books;
mod causes;
mod checks;
mod drive;
mod generator;
mod http;
mod live;
mod metric;
mod remote;
mod scenario;
mod server;
mod summary;
mod thresholds;
mod tokens;

pub use causes::causes;

pub mod cli;
pub mod compare;
pub mod demo;
pub mod kafka;
pub mod peers;
pub mod report;
pub mod results;
pub mod run;
