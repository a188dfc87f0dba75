//! Status pages and announcement of daemons that need no bus for their work (`uaa` and `loggregator` alone).

use std::net::SocketAddr;

use bus::{Bus, BusConfig, BusError};
use serde::{Deserialize, Serialize};

use crate::{Identity, Pages, Status, StatusConfig, Tasks};

/// Where a daemon that needs no bus for its work shows itself; part of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Visibility {
    /// The bus on which it announces itself; none: it does not.
    pub bus: Option<BusConfig>,
    /// `/healthz`, `/varz` and `/metrics`.
    pub status: StatusConfig,
    /// Job index.
    pub index: u32,
}

/// Why a daemon could not show itself.
#[derive(Debug, thiserror::Error)]
pub enum VisibilityError {
    /// The bus cannot be reached at any time: its address is unusable.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The status address could not be bound.
    #[error("cannot listen on status.listen {listen}: {source}")]
    Listen {
        /// Address.
        listen: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
}

impl Visibility {
    /// Serves the pages and, when there is a bus, announces the daemon, which has started by then.
    pub async fn start(
        &self,
        kind: &'static str,
        pages: Pages,
        tasks: &Tasks,
    ) -> Result<Status, VisibilityError> {
        let bus = match &self.bus {
            Some(config) => Some(Bus::connect(config, kind).await?),
            None => None,
        };
        let identity = Identity {
            kind,
            index: self.index,
            uuid: bus::ids::component_id(self.index),
        };
        let listen = self.status.listen;
        let pages = Pages {
            needs_bus: false,
            ..pages
        };
        let status = Status::start(identity, &self.status, bus.as_ref(), pages, tasks)
            .await
            .map_err(|source| VisibilityError::Listen { listen, source })?;
        status.ready();
        Ok(status)
    }
}
