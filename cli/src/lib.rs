//! `cf`: what app developers type. [`commands`] has one file per group of
//! commands; [`client`] speaks to the controller, [`ui`] to the person.

pub mod args;
pub mod bits;
pub mod client;
pub mod commands;
pub mod config;
pub mod context;
pub mod error;
pub mod logs;
pub mod manifest;
pub mod size;
pub mod ui;

pub use args::Cli;
pub use error::CfError;
