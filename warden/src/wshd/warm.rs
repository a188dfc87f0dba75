//! What the backend made ahead of need and passes on descriptor 0 with one byte.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::msg;
use crate::Result;
use crate::sys::{At, socket};
use crate::wire::Isolation;

/// Descriptors given to a new keeper.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The container's network namespace with its link.
    pub(super) netns: Option<OwnedFd>,
    /// The disk image, mounted nowhere yet.
    pub(super) disk: Option<OwnedFd>,
}

/// Waits for what the specification announces.
pub(super) fn receive(iso: &Isolation) -> Result<Given> {
    let network = iso.link.as_ref().is_some_and(|link| link.warm);
    if !network && !iso.warm_disk {
        return Ok(Given::default());
    }
    // SAFETY: descriptor 0 is the socket the keeper was started with.
    let socket = unsafe { BorrowedFd::borrow_raw(0) };
    let (_, fds) = socket::recv(socket, &mut [0]).at("receive what was made ahead")?;
    let mut fds = fds.into_iter();
    let mut next = |wanted: bool| -> Result<Option<OwnedFd>> {
        let missing = || msg::protocol("an announced descriptor did not come");
        wanted.then(|| fds.next().ok_or_else(missing)).transpose()
    };
    Ok(Given {
        netns: next(network)?,
        disk: next(iso.warm_disk)?,
    })
}
