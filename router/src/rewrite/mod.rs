//! What happens to heads on the way in and on the way out. Pure.

mod forwarded;
mod request;
mod response;
mod sticky;
mod upgrade;

pub use forwarded::{Cidr, Listener, Peer, Trust};
pub(crate) use request::{Said, Scene, address_to, request};
pub(crate) use response::{Closing, Reply, informational, response};
pub use sticky::Names;
pub(crate) use upgrade::upgrade;
