//! Hand-made histories: good ones pass, and a bad one for every promise fails naming it.

mod answers;
mod machine;
mod tale;
mod topics;
