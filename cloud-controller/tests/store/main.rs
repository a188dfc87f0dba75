//! What is kept: a database of an earlier version, several controllers on one database, blobs and their end.
#![allow(clippy::unwrap_used)]

mod blobs;
mod controllers;
mod fleet;
mod garbage;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
