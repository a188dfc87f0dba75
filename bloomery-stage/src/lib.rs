//! Programs that run inside containers, linked statically so that they run on
//! any stack: `bloomery-stage` runs a buildpack, `bloomery-static` serves files.
//!
//! A staging, in order: [`package`] unpacks the app, [`cache`] restores what the
//! last staging kept, [`buildpack`] detects, compiles and releases, [`info`]
//! writes `staging_info.yml` for the DEA.

pub mod buildpack;
pub mod cache;
pub mod error;
pub mod info;
pub mod package;
pub mod plan;
pub mod procfile;
pub mod static_server;

mod run;
pub use run::run;
