//! `cf`: what app developers type. [`mod@line`] is the command line as data,
//! [`commands`] has one file per group of commands; [`client`] speaks to the
//! controller, [`ui`] to the person, [`manifest`] reads manifests.

pub mod bits;
pub mod client;
pub mod commands;
pub mod config;
pub mod context;
pub mod error;
pub mod jobs;
pub mod line;
pub mod logs;
pub mod lookup;
pub mod manifest;
pub mod program;
pub mod size;
pub mod socket;
pub mod ui;

pub use error::CfError;
