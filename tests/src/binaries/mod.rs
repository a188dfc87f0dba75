//! The vocabulary of the stories about the real programs: a platform in a
//! directory of its own, what is typed at it, what is asked over HTTP, and what
//! the host looks like before and after.

mod apps;
mod archives;
mod buildpacks;
mod daemon;
mod host;
mod http;
mod load;
mod nats_server;
mod neighbour;
mod noise;
mod paced;
mod platform;
mod programs;
mod stacks;
mod typed;
mod user;
mod wait;

pub use apps::{App, sample_app};
pub use archives::{Entry, zip_of};
pub use buildpacks::Scripts;
pub use daemon::Daemon;
pub use host::{HostSnapshot, resident_bytes};
pub use http::Answer;
pub use load::{Answers, Load};
pub use nats_server::NatsServer;
pub use neighbour::Neighbour;
pub use noise::Noise;
pub use paced::{Paced, Times};
pub use platform::{Component, Platform, Turn, may_run};
pub use programs::{directory as programs_directory, program, typed};
pub use stacks::debian12;
pub use typed::Typed;
pub use user::User;
pub use wait::{PATIENCE, eventually};
