//! Containers as a library: the [`Backend`] and [`Container`] traits with the
//! verbs of Garden, three implementations, and `wshd`, the small program that
//! keeps one container.
//!
//! * `linux`    – namespaces, cgroups, overlay, own network; through `wshd`
//! * `process`  – a plain child process, no isolation; for machines without root
//! * `scripted` – no process at all; misbehaves as told (tests)

#[cfg(feature = "host")]
mod backend;
#[cfg(feature = "host")]
pub use backend::{Backend, Container, Pipes};

mod error;
mod spec;
pub use error::{Error, Result};
pub use spec::*;
