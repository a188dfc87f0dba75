//! What survives a restart of the DEA: `db/instances.json`, mode 0600 because
//! start messages carry credentials, written to a temporary file, synced, renamed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bus::dea::StartInstance;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::instance::{Instance, Standing};

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Unix seconds of writing.
    pub time: f64,
    /// The DEA's id. It is kept across restarts, so that its instances are never
    /// reported by two DEAs at once and no advertisement of a dead id is left over.
    pub dea_id: String,
    /// Instances in states worth keeping.
    pub instances: Vec<Saved>,
}

/// One instance.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    /// Instance id.
    pub instance_id: String,
    /// Router's key.
    pub private_instance_id: String,
    /// What was asked for.
    pub message: StartInstance,
    /// How it stood.
    pub standing: Standing,
    /// Last log line the loggregator had.
    pub log_cursor: u64,
}

/// A snapshot that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {step}: {reason}")]
pub struct SnapshotError {
    /// The file.
    pub path: PathBuf,
    /// What was being done.
    pub step: &'static str,
    /// Why it failed.
    pub reason: String,
}

/// Where the file stands below `base_dir`.
pub fn path(base_dir: &Path) -> PathBuf {
    base_dir.join("db/instances.json")
}

/// Reads the snapshot; a missing file is an empty one. A damaged file is set
/// aside, named in the error log, and the DEA starts without it: the health
/// manager brings the apps back, the orphan scan removes the containers.
pub fn load(path: &Path) -> Result<Snapshot, SnapshotError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Snapshot::default()),
        Err(e) => return Err(error(path, "read", e)),
    };
    serde_json::from_slice(&text).or_else(|reason| {
        let aside = path.with_extension("damaged");
        tracing::error!(%reason, kept = %aside.display(), "the snapshot is damaged; starting without it");
        std::fs::rename(path, aside).map_err(|e| error(path, "set aside", e))?;
        Ok(Snapshot::default())
    })
}

/// Writes the snapshot atomically.
pub fn save(path: &Path, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let text = serde_json::to_vec(snapshot).map_err(|e| error(path, "encode", e))?;
    let partial = path.with_extension("partial");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .map_err(|e| error(&partial, "open", e))?;
    file.write_all(&text)
        .and_then(|()| file.sync_data())
        .map_err(|e| error(&partial, "write", e))?;
    std::fs::rename(&partial, path).map_err(|e| error(path, "rename", e))
}

fn error(path: &Path, step: &'static str, reason: impl ToString) -> SnapshotError {
    SnapshotError {
        path: path.into(),
        step,
        reason: reason.to_string(),
    }
}

/// Writes after every nudge, and once more when the DEA stops.
pub fn start(host: &Arc<Host>) {
    let host_ = Arc::clone(host);
    host.tasks.spawn("snapshot", async move {
        loop {
            // The timer keeps the log positions fresh.
            tokio::select! {
                () = host_.nudge.snapshot.notified() => {}
                () = tokio::time::sleep(std::time::Duration::from_secs(5)) => {}
            }
            write(&host_).await;
        }
    });
}

/// Writes now.
pub async fn write(host: &Host) {
    let (path, snapshot) = (path(&host.config.base_dir), take(host));
    let saved = tokio::task::spawn_blocking(move || save(&path, &snapshot)).await;
    if let Ok(Err(error)) = saved {
        tracing::error!(%error, "the snapshot could not be written: a restart would not find these instances");
    }
}

fn take(host: &Host) -> Snapshot {
    let instances = host.instances.all();
    let kept = instances.iter().filter(|i| i.state().is_snapshotted());
    Snapshot {
        time: crate::instance::unix_now(),
        dea_id: host.id.clone(),
        instances: kept.map(|i| saved(i)).collect(),
    }
}

fn saved(instance: &Instance) -> Saved {
    Saved {
        instance_id: instance.id.clone(),
        private_instance_id: instance.private_id.clone(),
        message: instance.message.clone(),
        standing: instance.standing().clone(),
        log_cursor: instance.log_cursor.load(Ordering::Acquire),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_snapshot_survives_a_round_trip_and_is_private() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("instances.json");
        let message: StartInstance =
            serde_json::from_str(include_str!("../../bus/golden/dea.ID.start.json"))
                .expect("golden");
        let instance = Instance::new(message);
        let snapshot = Snapshot {
            time: 1.0,
            dea_id: "0-x".into(),
            instances: vec![saved(&instance)],
        };
        save(&file, &snapshot).expect("saved");
        let loaded = load(&file).expect("loaded");
        assert_eq!(loaded.dea_id, "0-x");
        assert_eq!(loaded.instances[0].message, instance.message);
        assert_eq!(loaded.instances[0].instance_id, instance.id);
        let mode = std::fs::metadata(&file)
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_snapshot_is_set_aside_and_not_lost() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("instances.json");
        std::fs::write(&file, "{\"instances\": [").expect("write");
        assert!(load(&file).expect("loads").instances.is_empty());
        assert!(dir.path().join("instances.damaged").exists());
    }
}
