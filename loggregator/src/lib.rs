//! App logs: intake, recent lines, streaming. Mounted by the controller or run alone.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | bounds and addresses |
//! | [`hub`] | lines in, recent lines and live streams out; bounded everywhere |
//! | [`limits`] | bounds on what comes in |
//! | `numbering` | pure: duplicates and gaps by sequence number |
//! | `ring` | pure: the newest lines within a number of bytes |
//! | [`wire`] | the two protobuf forms clients read |
//! | `http` | the endpoints |
//! | [`limits`] | every bound on what strangers send |
//! | [`daemon`] | running alone |

pub mod config;
pub mod daemon;
mod http;
pub mod hub;
pub mod limits;
mod numbering;
mod ring;
pub mod wire;

pub use config::Config;
pub use http::{Access, Answer, Moment, router};
pub use hub::{Counters, Hub};
