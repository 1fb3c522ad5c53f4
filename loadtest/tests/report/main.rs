//! What is made of results, looked at from outside: the page in a browser, the files by those who read them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up figures are small and positive"
)]

mod browser;
mod compare;
mod exports;
mod page;
mod sample;
