//! One client connection: the guard applied to a socket, and what both ends of the HTTP library must tell each other.

mod conversation;
mod guarded;
mod stall;

pub(crate) use conversation::Conversation;
pub(crate) use guarded::Guarded;
