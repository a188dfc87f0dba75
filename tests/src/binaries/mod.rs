//! The vocabulary of the stories about the real programs: a platform in a
//! directory of its own, what is typed at it, what is asked over HTTP, and what
//! the host looks like before and after.

mod apps;
mod archives;
mod buildpacks;
mod host;
mod http;
mod nats_server;
mod neighbour;
mod platform;
mod programs;
mod stacks;
mod typed;
mod wait;

pub use apps::{App, sample_app};
pub use archives::{Entry, zip_of};
pub use buildpacks::Scripts;
pub use host::HostSnapshot;
pub use http::Answer;
pub use nats_server::NatsServer;
pub use neighbour::Neighbour;
pub use platform::{Component, Platform, may_run};
pub use programs::{program, typed};
pub use stacks::debian12;
pub use typed::Typed;
pub use wait::{PATIENCE, eventually};
