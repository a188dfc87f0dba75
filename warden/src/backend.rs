//! The two traits every backend implements. Object-safe: the DEA holds
//! `Arc<dyn Backend>` and never knows which one it drives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::{
    Capacity, ContainerSpec, Error, Exit, Info, Inside, JobId, Limits, NetOutRule, Output,
    PortMapping, ProcessSpec, Refusal, Result, WindowSize,
};

/// Standard streams given to a job instead of the log. Anything left `None` is
/// `/dev/null` (stdin) or the job's log (stdout, stderr).
#[derive(Debug, Default)]
pub struct Pipes {
    /// Standard input, e.g. a tar archive to unpack.
    pub stdin: Option<OwnedFd>,
    /// Standard output, e.g. a file on the host that receives an archive.
    pub stdout: Option<OwnedFd>,
}

/// A maker of containers. Every container survives the process that made it:
/// after a restart `list` and `lookup` find them again.
#[async_trait]
pub trait Backend: Send + Sync {
    /// `linux`, `process` or `scripted`.
    fn name(&self) -> &'static str;
    /// Whether containers can be made at all; the error says what is missing.
    async fn ping(&self) -> Result<()>;
    /// What the host offers.
    async fn capacity(&self) -> Result<Capacity>;
    /// Makes a container, limits and rules in force. A failure leaves nothing behind.
    async fn create(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>>;
    /// Lets these routers, and no others but configured ones, reach the ports of containers from outside of the host. Without
    /// effect where nothing filters. Connections that stand are not touched.
    async fn allow_routers(&self, routers: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let _ = routers;
        Ok(())
    }
    /// The routers that were allowed last, also by an earlier process.
    async fn allowed_routers(&self) -> BTreeSet<Ipv4Addr> {
        BTreeSet::new()
    }
    /// Handles of the containers that carry all given properties.
    async fn list(&self, properties: &BTreeMap<String, String>) -> Result<Vec<String>>;
    /// An existing container, also one made before a restart.
    async fn lookup(&self, handle: &str) -> Result<Arc<dyn Container>>;
    /// Ends every process and removes every trace. Unknown handles are an error.
    async fn destroy(&self, handle: &str) -> Result<()>;
}

/// One container.
#[async_trait]
pub trait Container: Send + Sync {
    /// Its name.
    fn handle(&self) -> &str;
    /// State and measurements.
    async fn info(&self) -> Result<Info>;
    /// Starts a job; returns once it runs.
    async fn run(&self, spec: ProcessSpec, pipes: Pipes) -> Result<JobId>;
    /// Starts a job on a terminal of the container's own and hands over the
    /// terminal's controlling side. Nothing of it is logged.
    async fn run_on_terminal(
        &self,
        spec: ProcessSpec,
        size: WindowSize,
    ) -> Result<(JobId, OwnedFd)> {
        let _ = (spec, size);
        Err(unsupported("run on a terminal"))
    }
    /// The job's output from sequence number `from` (1 = from the start) on; the
    /// channel closes after the last line of a finished job. Any number of readers.
    async fn attach(&self, job: &JobId, from: u64) -> Result<mpsc::Receiver<Output>>;
    /// Waits for the job's end; answers at once when it ended before.
    async fn wait(&self, job: &JobId) -> Result<Exit>;
    /// Opens a port. Without `container_port` both numbers are the same.
    async fn net_in(&self, container_port: Option<u16>) -> Result<PortMapping>;
    /// Adds outbound rules.
    async fn net_out(&self, rules: &[NetOutRule]) -> Result<()>;
    /// Connections that the rules refused in the last hour, each target once. A
    /// container may see those of an earlier one with its address: look at their age.
    /// Empty where nothing filters.
    async fn refused(&self) -> Result<Vec<Refusal>> {
        Ok(Vec::new())
    }
    /// What stands at a path inside, seen from the host with the rights of the user `vcap`: a regular file is opened, at
    /// most `most` entries of a directory are listed, everything else is [`Error::Unreadable`].
    async fn look(&self, path: &str, most: usize) -> Result<Inside> {
        let _ = (path, most);
        Err(unsupported("look"))
    }
    /// Changes limits; `None` fields stay as they are.
    async fn limit(&self, limits: &Limits) -> Result<()>;
    /// How long the container lives without a client from now on; `None` = for
    /// ever. A client is an open connection, such as a `wait` or an `attach`.
    async fn set_grace_time(&self, time: Option<Duration>) -> Result<()> {
        let _ = time;
        Err(unsupported("grace time"))
    }
    /// Sets a label, or removes it with `None`.
    async fn set_property(&self, name: &str, value: Option<String>) -> Result<()> {
        let _ = (name, value);
        Err(unsupported("property"))
    }
    /// TERM to every process, KILL after 10 s (at once with `kill`). The container stays.
    async fn stop(&self, kill: bool) -> Result<()>;
}

fn unsupported(verb: &'static str) -> Error {
    Error::Unsupported {
        verb,
        backend: "chosen",
        why: "it has no such verb".into(),
    }
}
