//! The steps of creation, in order. Fault injection iterates over them: after
//! any of them a failure must leave nothing behind.

use serde::{Deserialize, Serialize};

use crate::sys::{At, process};

/// One step of creating a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Subnet, uid range and link name taken from the pools.
    Allocate,
    /// The container's directory in the depot and its `spec.json`.
    Directory,
    /// The disk image, copied from a template.
    DiskImage,
    /// Chain and element of the packet filter.
    Firewall,
    /// Keeper: cgroups with their limits.
    Cgroups,
    /// Keeper: a private mount namespace.
    MountNamespace,
    /// Keeper: init in its own namespaces.
    CloneInit,
    /// Keeper: uid and gid maps.
    IdMaps,
    /// Keeper: loop device and mount of the disk image.
    DiskMount,
    /// Keeper: idmapped lower layer and overlay.
    Overlay,
    /// Keeper: resolv.conf, hosts, hostname, home.
    Files,
    /// Keeper: bind mounts of the caller.
    Binds,
    /// Keeper: virtual Ethernet pair, addresses, route.
    Link,
    /// Init: proc, dev, pivot_root.
    InitMounts,
    /// Init: capabilities, filter, no_new_privs.
    InitLock,
    /// Keeper: control socket.
    ControlSocket,
    /// Keeper: `state.json`.
    State,
    /// Backend: the keeper's answer arrived.
    Ready,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Step; 18] = [
        Step::Allocate,
        Step::Directory,
        Step::DiskImage,
        Step::Firewall,
        Step::Cgroups,
        Step::MountNamespace,
        Step::CloneInit,
        Step::IdMaps,
        Step::DiskMount,
        Step::Overlay,
        Step::Files,
        Step::Binds,
        Step::Link,
        Step::InitMounts,
        Step::InitLock,
        Step::ControlSocket,
        Step::State,
        Step::Ready,
    ];

    /// Does what the test asked for, if it is to happen after this step.
    pub(crate) fn inject(self, fault: Option<Fault>) -> crate::Result<()> {
        match fault {
            Some(fault) if fault.after == self => fault.strike(),
            _ => Ok(()),
        }
    }
}

/// A fault that a test asks for, to see what is left of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The last step that is done.
    pub after: Step,
    /// What happens then.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The step reports a failure.
    Fail,
    /// The process that did the step dies, as by `kill -9`.
    Die,
    /// Its parent does: the backend, after a step of the keeper. The keeper goes on.
    KillParent,
}

impl Fault {
    fn strike(self) -> crate::Result<()> {
        match self.kind {
            FaultKind::Fail => Err(crate::Error::Keeper {
                step: format!("{:?}", self.after),
                message: "failure injected by the test switch fail_after".into(),
            }),
            FaultKind::Die => process::die(),
            FaultKind::KillParent => process::kill_parent().at("kill the parent"),
        }
    }
}
