//! One attempt as data.

use std::io;

use crate::walls::Wall;

/// Where the control may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// On this host, in namespaces of the test.
    Here,
    /// Only in the virtual machine: it changes the host, or needs what this
    /// kernel may lack.
    InVm,
}

/// An attempt. `root` and `vcap` are the outcomes with every wall up, as
/// `EPERM|EACCES`; empty: not tried as that user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) tries: &'static str,
    pub(crate) attack: fn() -> io::Result<()>,
    pub(crate) root: &'static str,
    pub(crate) vcap: &'static str,
    /// With all of these down it succeeds; each alone stops it.
    pub(crate) walls: &'static [Wall],
    pub(crate) control: Control,
    /// The outcome of the control.
    pub(crate) succeeds: &'static str,
    /// The program is started as `/proc/self/exe`.
    pub(crate) as_self: bool,
}

/// An attempt by the operator's root job and by vcap, both refused alike.
pub(crate) const fn row(
    name: &'static str,
    tries: &'static str,
    outcome: &'static str,
    walls: &'static [Wall],
    attack: fn() -> io::Result<()>,
) -> Row {
    Row {
        name,
        tries,
        attack,
        root: outcome,
        vcap: outcome,
        walls,
        control: Control::Here,
        succeeds: "ok",
        as_self: false,
    }
}

impl Row {
    /// Other outcomes for vcap.
    pub(crate) const fn vcap(mut self, outcome: &'static str) -> Self {
        self.vcap = outcome;
        self
    }

    /// Only root tries.
    pub(crate) const fn root_only(mut self) -> Self {
        self.vcap = "";
        self
    }

    /// Only vcap tries.
    pub(crate) const fn vcap_only(mut self) -> Self {
        self.root = "";
        self
    }

    /// The control is for the virtual machine.
    pub(crate) const fn in_vm(mut self) -> Self {
        self.control = Control::InVm;
        self
    }

    /// The attacker is started as `/proc/self/exe`.
    pub(crate) const fn as_self(mut self) -> Self {
        self.as_self = true;
        self
    }

    /// Success of the control looks like this.
    pub(crate) const fn succeeds(mut self, outcome: &'static str) -> Self {
        self.succeeds = outcome;
        self
    }

    /// Whether the control may run where we are.
    pub(crate) fn has_control_here(&self) -> bool {
        self.control == Control::Here || in_vm()
    }
}

/// Whether this is the battery's own virtual machine, where controls may do
/// real harm. Its kernel is started with this word; an environment variable
/// could be set by mistake.
pub(crate) fn in_vm() -> bool {
    std::fs::read_to_string("/proc/cmdline")
        .is_ok_and(|line| line.split_whitespace().any(|word| word == "bloomery.vm=1"))
}

/// The outcome of an attempt as a word.
pub(crate) fn outcome(result: &io::Result<()>) -> String {
    match result {
        Ok(()) => "ok".into(),
        Err(error) => match error.raw_os_error() {
            Some(errno) => errno_name(errno),
            None => "held".into(),
        },
    }
}

/// An attempt that was not refused and still gained nothing.
pub(crate) fn held(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

fn errno_name(errno: i32) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::ENXIO, "ENXIO"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::EBUSY, "EBUSY"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOKEY, "ENOKEY"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::EHOSTUNREACH, "EHOSTUNREACH"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::ESTALE, "ESTALE"),
        (libc::ENOEXEC, "ENOEXEC"),
    ];
    let name = known.iter().find(|(number, _)| *number == errno);
    name.map_or_else(|| format!("errno {errno}"), |(_, name)| (*name).to_owned())
}

/// Whether `seen` is one of the outcomes in `wanted`, as `A|B`.
pub(crate) fn is_one_of(seen: &str, wanted: &str) -> bool {
    wanted.split('|').any(|word| word == seen)
}
