//! A simulator: the platform's decisions on a virtual clock, hundreds of runs in seconds.
//!
//! **The very code of the crates:** the health manager's `Brain` (everything it
//! decides), the controller's `Live`, `Pool` and `choose_dea`, the DEA's state
//! table, reactions and `dea.stop` filter. **Mirrored here**, because it sits
//! between IO or is private to its crate: the controller's reaction to a change
//! ([`controller`]), admission and resumption in a DEA ([`dea`]), the bus ([`wire`]).
//! A defect in a mirrored part of the product is not found here.
//!
//! A run: apps are pushed and settle; then come operations and faults, both
//! drawn from the seed; then everything is healed and nothing but time passes.
//! [`rules`] says what must hold when, [`flaw`] what the rules are tried on.
//! Where the model differs from the product on purpose: its `dea.update` carries no
//! version (see [`Flaw::UpdateRelabels`]).
//! One health manager and one controller; lease and standby are not simulated.

pub mod controller;
pub mod dea;
pub mod dice;
pub mod flaw;
pub mod health;
pub mod plan;
pub mod rules;
pub mod wire;
pub mod world;

pub use flaw::Flaw;
pub use world::{Failure, Report, Setup, run};

/// Milliseconds of virtual time.
pub type Ms = u64;
