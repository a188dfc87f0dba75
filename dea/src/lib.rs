//! One DEA per host: it stages apps and runs instances in containers. It is told
//! what to do over the bus only (`inbox`), tells the others how things stand
//! (`announce`, `registrar`) and knows nothing of spaces, users or blobstores:
//! the controller hands it URLs.

pub mod config;
pub mod host;

pub mod inbox;
pub mod instance;
pub mod staging;

pub mod announce;
pub mod registrar;
pub mod routers;

pub mod capture;
pub mod droplets;
pub mod egress;
pub mod files;
pub mod find;
pub mod limits;
pub mod logs;
pub mod resources;
pub mod transfer;

pub mod evacuation;
pub mod resume;
pub mod snapshot;
pub mod sweep;
pub mod varz;

pub mod backend;
pub mod program;

mod start;
pub use config::Config;
pub use start::{Deps, Handle, Running, StartError, start};
