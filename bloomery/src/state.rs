//! `state.json`: what runs. Written by the supervisor, read by everybody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::identity::Identity;
use crate::layout::Layout;
use crate::settings::write_private;

/// The file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The supervisor.
    pub supervisor: Option<Identity>,
    /// Components by name.
    pub components: BTreeMap<String, Running>,
}

/// One component.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Running {
    /// Its process.
    pub process: Option<Identity>,
    /// How often it was started again.
    pub restarts: u32,
    /// Milliseconds from its start to its first healthy answer.
    pub ready_ms: Option<u64>,
    /// Found running by this supervisor rather than started by it.
    pub adopted: bool,
}

impl State {
    /// Reads it; a missing file is an empty state.
    pub fn load(layout: &Layout) -> Result<Self, Error> {
        let path = layout.state();
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| Error::Damaged {
                path,
                reason: e.to_string(),
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Error::file("read", path)(e)),
        }
    }

    /// Writes it.
    pub fn save(&self, layout: &Layout) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::Usage(e.to_string()))?;
        write_private(&layout.state(), &text)
    }

    /// The live supervisor.
    pub fn live_supervisor(&self) -> Option<&Identity> {
        self.supervisor.as_ref().filter(|id| id.is_alive())
    }

    /// Live processes of components.
    pub fn live(&self) -> Vec<(&String, &Identity)> {
        let with_process = self
            .components
            .iter()
            .filter_map(|(name, r)| Some((name, r.process.as_ref()?)));
        with_process.filter(|(_, id)| id.is_alive()).collect()
    }
}
