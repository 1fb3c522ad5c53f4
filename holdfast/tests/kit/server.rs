//! A running server.
