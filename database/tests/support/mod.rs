//! What tests of several crates need of a database.
// Each test file compiles this module for itself and uses a part of it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

pub mod postgres;
