//! The data path: one loop per thread over ready sockets, each event carried through
//! to the end (read, understand, rewrite, write) without a switch of tasks.
//!
//! Reading order: `wire` (a socket and what waits to be written to it), `slots`
//! (connections by key), `client`, `upstream` and `exchange` (what is known of
//! each), then the loop in `reactor` and what it does: `accept`, `requests`
//! (client to instance), `attempts` (choosing, dialling, sending), `answers` (instance to
//! client), `outcomes` (refusals and ends), `patience` (deadlines). The decisions stand in
//! [`crate::guard`], [`crate::answer`], [`crate::rewrite`] and [`crate::table`], which do no IO.

mod accept;
mod answers;
mod attempts;
mod client;
mod exchange;
mod handle;
mod outcomes;
mod patience;
mod reactor;
mod requests;
mod shared;
mod slots;
mod upstream;
mod wire;

pub(crate) use accept::{Place, Places};
pub(crate) use handle::Engine;
pub(crate) use shared::{Shared, Times};
