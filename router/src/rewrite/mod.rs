//! What happens to headers on the way in and on the way out. Pure.

mod forwarded;
mod hop;
mod sticky;

pub use forwarded::{Cidr, Listener, Peer, Trust, forward};
pub use hop::{is_upgrade, remove_hop_by_hop};
pub use sticky::{Session, session, set_cookie};
