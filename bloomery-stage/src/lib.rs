//! Programs that run inside containers, linked statically so that they run on
//! any stack: `bloomery-stage` runs a buildpack, `bloomery-static` serves files.
//!
//! A staging, in order: [`package`] unpacks the app, [`cache`] restores what the
//! last staging kept, [`buildpack`] detects, compiles and releases, [`info`]
//! writes `staging_info.yml` for the DEA. A buildpack given by URL takes a detour:
//! [`location`] reads the URL, [`egress`] knows what is reachable, [`fetch`] and
//! [`git`] get it.

pub mod archive;
pub mod buildpack;
pub mod cache;
pub mod egress;
pub mod error;
pub mod fetch;
pub mod git;
pub mod info;
pub mod location;
pub mod package;
pub mod plan;
pub mod procfile;
pub mod program;
pub mod static_server;

mod run;
pub use run::run;
