//! Buyers who keep books of what they were told, and the verdict that follows from those books.
//!
//! Nothing here shares arithmetic with the product: the only thing this crate knows of the server is its HTTP
//! contract. The rooms, from the inside out: `books` is what a run writes down, `checks` is what follows from it,
//! `http` carries requests, `server` runs a server as a child process, and `demo` is a whole sale made of these.

mod books;
mod checks;
mod http;
mod server;
mod tokens;

pub mod demo;
