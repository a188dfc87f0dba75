//! What the parts of a DEA share, and the one place where a change of state is
//! followed by its reactions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::Bus;
use bus::log::LogStream;
use component::Tasks;
use tokio::sync::Notify;
use warden::{Backend, BindMount};

use crate::config::Config;
use crate::droplets::Droplets;
use crate::instance::reactions::{Reaction, reactions};
use crate::instance::registry::Registry;
use crate::instance::state::State;
use crate::instance::{Forbidden, Instance};
use crate::logs::{Logs, Source};
use crate::resources::Reserved;
use crate::staging;

/// Shared by every part of one DEA.
pub struct Host {
    /// Configuration.
    pub config: Config,
    /// The DEA's id on the bus.
    pub id: String,
    /// The bus.
    pub bus: Bus,
    /// Makes containers.
    pub backend: Arc<dyn Backend>,
    /// Instances.
    pub instances: Registry,
    /// Staging tasks.
    pub staging: staging::Registry,
    /// Droplet cache.
    pub droplets: Droplets,
    /// Where log lines go.
    pub logs: Logs,
    /// Background tasks.
    pub tasks: Tasks,
    /// Whether work is accepted and advertised.
    pub open: AtomicBool,
    /// Whether the end is one for a restart: instances live on.
    pub leaves: AtomicBool,
    /// Address of the directory server.
    pub files_addr: std::net::SocketAddr,
    /// Signs file URLs.
    pub file_signer: crate::files::Signer,
    /// Nudges: "look again now".
    pub nudge: Nudges,
}

/// One nudge per periodic voice; a lost one is made good by its timer.
#[derive(Default)]
pub struct Nudges {
    /// Send a heartbeat.
    pub heartbeat: Notify,
    /// Advertise.
    pub advertise: Notify,
    /// Register every route.
    pub register: Notify,
    /// Write the snapshot.
    pub snapshot: Notify,
}

impl Host {
    /// Changes an instance's state and carries out what follows from it.
    pub fn change(self: &Arc<Self>, instance: &Arc<Instance>, to: State) -> Result<(), Forbidden> {
        let from = instance
            .change(to)
            .inspect_err(|e| tracing::debug!(instance = %instance.id, error = %e, "ignored"))?;
        tracing::info!(app = %instance.message.droplet, instance = %instance.id, index = instance.message.index, %from, %to, "instance");
        for reaction in reactions(from, to) {
            self.react(instance, reaction);
        }
        Ok(())
    }

    fn react(self: &Arc<Self>, instance: &Arc<Instance>, reaction: Reaction) {
        match reaction {
            Reaction::Register => crate::registrar::register_soon(self, instance),
            Reaction::Unregister => crate::registrar::unregister_soon(self, instance),
            Reaction::PublishCrash => crate::announce::exited_soon(self, instance, "CRASHED"),
            Reaction::PublishEvacuation => {
                crate::announce::exited_soon(self, instance, "DEA_EVACUATION")
            }
            Reaction::Forget => self.instances.remove(&instance.id),
            Reaction::DestroyContainer => self.destroy_soon(instance),
            Reaction::Heartbeat => self.nudge.heartbeat.notify_one(),
            Reaction::Snapshot => self.snapshot(),
            Reaction::Advertise => self.nudge.advertise.notify_one(),
        }
    }

    /// Asks for a snapshot.
    pub fn snapshot(&self) {
        self.nudge.snapshot.notify_one();
    }

    fn destroy_soon(self: &Arc<Self>, instance: &Instance) {
        let Some(handle) = instance.standing().handle.take() else {
            return;
        };
        let host = Arc::clone(self);
        // Must finish even while the DEA stops: a half-destroyed container stays behind.
        self.tasks.spawn_graceful(async move {
            if let Err(error) = host.backend.destroy(&handle).await {
                tracing::warn!(handle, %error, "container not destroyed; the orphan scan tries again");
            }
        });
    }

    /// Everything promised to instances and staging tasks.
    pub fn reserved(&self) -> Reserved {
        let (instances, staging) = (self.instances.reserved(), self.staging.reserved());
        Reserved {
            memory_mb: instances.memory_mb + staging.memory_mb,
            disk_mb: instances.disk_mb + staging.disk_mb,
        }
    }

    /// Whether new work is accepted.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Properties that mark a container as this DEA's.
    pub fn properties(&self, purpose: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("owner".to_owned(), "dea".to_owned()),
            ("purpose".to_owned(), purpose.to_owned()),
        ])
    }

    /// Binds that every container gets.
    pub fn common_binds(&self) -> Vec<BindMount> {
        let binds = self.config.bind_mounts.iter().map(|b| BindMount {
            src: b.src_path.clone(),
            dst: if b.dst_path.as_os_str().is_empty() {
                b.src_path.clone()
            } else {
                b.dst_path.clone()
            },
            writable: b.mode == "rw",
        });
        let runtimes = self.config.runtimes.iter().map(|r| BindMount {
            src: r.path.clone(),
            dst: r.inside(),
            writable: false,
        });
        binds.chain(runtimes).collect()
    }

    /// A directory below `base_dir`.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.config.base_dir.join(name)
    }

    /// A line of the DEA itself in the app's log.
    pub fn tell(&self, instance: &Instance, stream: LogStream, text: &str) {
        let source = Source {
            kind: "DEA",
            ..instance.log_source()
        };
        self.logs.line(&source, stream, text);
    }
}

impl Instance {
    /// How its output is labelled.
    pub fn log_source(&self) -> Source {
        Source {
            app_id: self.message.app_guid().to_owned(),
            kind: "App",
            instance: self.message.index.to_string(),
            instance_id: self.id.clone(),
        }
    }
}
