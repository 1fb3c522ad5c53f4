//! Tests of the world.
use super::*;
