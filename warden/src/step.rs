//! The steps of creation, in order. Fault injection iterates over them: after
//! any of them a failure must leave nothing behind.

use serde::{Deserialize, Serialize};

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

    /// The injected failure, if this step is the chosen one.
    pub(crate) fn inject(self, fail_after: Option<Step>) -> crate::Result<()> {
        if fail_after == Some(self) {
            return Err(crate::Error::Keeper {
                step: format!("{self:?}"),
                message: "failure injected by the test switch fail_after".into(),
            });
        }
        Ok(())
    }
}
