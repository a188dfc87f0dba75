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
#[cfg(feature = "host")]
pub mod bounds;
#[cfg(feature = "host")]
pub mod ctl;
#[cfg(feature = "host")]
mod depot;
#[cfg(feature = "host")]
mod dns;
#[cfg(feature = "host")]
mod inside;
#[cfg(feature = "host")]
pub use inside::{Entry, Inside, Unreadable};
#[cfg(feature = "host")]
mod linux;
#[cfg(feature = "host")]
mod process;
#[cfg(feature = "host")]
pub use linux::{DnsConfig, InstancePorts, LinuxBackend, LinuxConfig, Report, teardown};
#[cfg(feature = "host")]
pub use process::{ProcessBackend, ProcessConfig};
#[cfg(feature = "host")]
mod scripted;
#[cfg(feature = "host")]
mod visitor;
#[cfg(feature = "host")]
pub use scripted::{Misbehave, Script, ScriptedBackend, ScriptedJob, ScriptedVerb};

mod error;
mod limits;
mod spec;
mod step;
pub use error::{Error, Result};
pub use limits::{Bandwidth, Limits};
pub use spec::*;
pub use step::{Fault, FaultKind, Step};

// The program that keeps one container, and what both sides share.
mod cgroup;
mod netlink;
mod procfs;
mod sys;
mod wire;
pub mod wshd;

/// Whether a text is an IPv4 address or network, as [`LinuxConfig::routers`] takes them.
#[cfg(feature = "host")]
pub fn is_router_network(text: &str) -> bool {
    linux::is_network(text)
}
