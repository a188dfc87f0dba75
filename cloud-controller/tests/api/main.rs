//! The real daemon on a real bus; the test plays the rest. One program, because linking one for each file takes longer than the tests.
#![allow(clippy::unwrap_used)]

mod addresses;
mod audit;
mod bounds;
mod conversations;
mod database_away;
mod deletions;
mod files;
mod foreign_client;
mod forged;
mod hostile_archives;
mod limits;
mod matrix;
mod names;
mod openapi;
mod operator;
mod places;
mod push;
mod questions;
mod quotas;
mod refusals;
mod running;
mod security;
mod services;
mod staging;
mod staging_table;
mod store;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod texts;
mod validation;
