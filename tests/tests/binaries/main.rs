//! Stories about the real programs with real containers: what a developer types,
//! what goes wrong, what dies, and what is left.
#![allow(clippy::unwrap_used)]

mod buildpack_scripts;
mod buildpacks;
mod collector;
mod either_bus;
mod foreign_client;
mod hostile;
mod hostile_app;
mod languages;
mod leaving;
mod logs;
mod misbehaving;
mod pages;
mod pushing;
mod refused;
mod stolen;
mod supervision;
mod websocket;
mod workday;

/// The probe needs nothing but the stack's python.
const PROBE: [&str; 2] = ["-b", "binary_buildpack"];
