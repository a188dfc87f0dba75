//! The droplet cache: `droplets/<sha1>/droplet.tgz`, verified by its name. One
//! download per droplet however many instances want it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha1::{Digest, Sha1};

use crate::transfer::{Transfer, TransferError};

/// File name of a cached droplet.
pub const FILE: &str = "droplet.tgz";

/// Why a droplet cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DropletError {
    /// The start message names none.
    #[error("the start message carries no droplet ({0} is missing)")]
    NotNamed(&'static str),
    /// The name is not a SHA-1.
    #[error("{0:?} is not a SHA-1 digest")]
    BadDigest(String),
    /// The download failed.
    #[error("{0}")]
    Transfer(#[from] TransferError),
    /// What arrived is something else.
    #[error(
        "SHA1 mismatch: the controller said {expected}, {size} bytes with {actual} arrived (truncated or changed)"
    )]
    Mismatch {
        /// Digest of the start message.
        expected: String,
        /// Digest of the bytes.
        actual: String,
        /// Bytes.
        size: u64,
    },
    /// The cache directory is not usable.
    #[error("{path}: {source}")]
    Io {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The cache.
pub struct Droplets {
    dir: PathBuf,
    transfer: Transfer,
    busy: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Droplets {
    /// A cache in `dir`.
    pub fn new(dir: PathBuf, transfer: Transfer) -> Self {
        Self {
            dir,
            transfer,
            busy: Mutex::default(),
        }
    }

    /// The directory of one droplet.
    pub fn directory(&self, sha1: &str) -> PathBuf {
        self.dir.join(sha1)
    }

    /// Makes sure the droplet is in the cache. The directory exists when this is
    /// polled first, so that a container can be made beside the download.
    pub async fn fetch(
        &self,
        sha1: Option<&str>,
        url: Option<&str>,
    ) -> Result<PathBuf, DropletError> {
        let sha1 = sha1.ok_or(DropletError::NotNamed("sha1"))?;
        check_digest(sha1)?;
        let dir = self.directory(sha1);
        std::fs::create_dir_all(&dir).map_err(|e| io(&dir, e))?;
        let turn = self.turn(sha1);
        let _turn = turn.lock().await;
        let path = dir.join(FILE);
        if digest_of(&path).await.is_some_and(|actual| actual == sha1) {
            return Ok(path);
        }
        let url = url.ok_or(DropletError::NotNamed("executableUri"))?;
        self.download(sha1, url, &path).await?;
        Ok(path)
    }

    async fn download(&self, sha1: &str, url: &str, path: &Path) -> Result<(), DropletError> {
        let partial = path.with_extension("partial");
        let fetched = self.transfer.download(url, &partial).await?;
        if fetched.sha1 != sha1 {
            let _ = std::fs::remove_file(&partial);
            return Err(DropletError::Mismatch {
                expected: sha1.into(),
                actual: fetched.sha1,
                size: fetched.size,
            });
        }
        std::fs::rename(&partial, path).map_err(|e| io(path, e))
    }

    /// Copies a droplet staged here into the cache.
    pub fn adopt(&self, sha1: &str, file: &Path) -> Result<(), DropletError> {
        let dir = self.directory(sha1);
        std::fs::create_dir_all(&dir).map_err(|e| io(&dir, e))?;
        let partial = dir.join("droplet.adopted");
        std::fs::copy(file, &partial).map_err(|e| io(&partial, e))?;
        std::fs::rename(&partial, dir.join(FILE)).map_err(|e| io(&dir, e))
    }

    /// Removes every droplet that nobody refers to; returns how many.
    pub fn sweep(&self, wanted: &HashSet<String>) -> usize {
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return 0;
        };
        let unwanted = entries.flatten().filter(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            !wanted.contains(&name) && !self.is_busy(&name)
        });
        unwanted
            .filter(|e| std::fs::remove_dir_all(e.path()).is_ok())
            .count()
    }

    fn turn(&self, sha1: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(busy.entry(sha1.to_owned()).or_default())
    }

    fn is_busy(&self, sha1: &str) -> bool {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.get(sha1)
            .is_some_and(|turn| Arc::strong_count(turn) > 1)
    }
}

fn check_digest(sha1: &str) -> Result<(), DropletError> {
    let good = sha1.len() == 40 && sha1.bytes().all(|b| b.is_ascii_hexdigit());
    if good {
        Ok(())
    } else {
        Err(DropletError::BadDigest(sha1.into()))
    }
}

fn io(path: &Path, source: std::io::Error) -> DropletError {
    DropletError::Io {
        path: path.into(),
        source,
    }
}

/// Hex SHA-1 of a file, off the runtime's threads; `None` when it cannot be read.
pub async fn digest_of(path: &Path) -> Option<String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path).ok()?;
        let mut hash = Sha1::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match std::io::Read::read(&mut file, &mut buffer).ok()? {
                0 => return Some(hex::encode(hash.finalize())),
                n => hash.update(&buffer[..n]),
            }
        }
    })
    .await
    .ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;

    /// SHA-1 of `hello`.
    const HELLO: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

    async fn server(body: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let addr = listener.local_addr().expect("addr");
        let tasks = component::Tasks::new();
        component::serve(
            listener,
            Router::new().route("/d", get(move || async move { body })),
            &tasks,
        );
        std::mem::forget(tasks);
        format!("http://{addr}/d")
    }

    fn cache() -> (tempfile::TempDir, Droplets) {
        let dir = tempfile::tempdir().expect("tempdir");
        let droplets = Droplets::new(
            dir.path().join("droplets"),
            Transfer::new().expect("client"),
        );
        (dir, droplets)
    }

    #[tokio::test]
    async fn a_droplet_is_downloaded_once_and_verified_by_its_digest() {
        let (_dir, droplets) = cache();
        let url = server("hello").await;
        let path = droplets
            .fetch(Some(HELLO), Some(&url))
            .await
            .expect("fetched");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "hello");
        // The second time needs no server.
        droplets.fetch(Some(HELLO), None).await.expect("cached");
    }

    #[tokio::test]
    async fn a_truncated_droplet_is_refused_and_leaves_nothing_usable() {
        let (_dir, droplets) = cache();
        let url = server("hell").await;
        let error = droplets
            .fetch(Some(HELLO), Some(&url))
            .await
            .expect_err("mismatch");
        assert!(
            error.to_string().contains("SHA1 mismatch") && error.to_string().contains("4 bytes"),
            "{error}"
        );
        assert!(matches!(
            droplets.fetch(Some(HELLO), None).await,
            Err(DropletError::NotNamed(_))
        ));
    }

    #[tokio::test]
    async fn a_damaged_cache_entry_is_fetched_anew() {
        let (_dir, droplets) = cache();
        let url = server("hello").await;
        let path = droplets
            .fetch(Some(HELLO), Some(&url))
            .await
            .expect("fetched");
        std::fs::write(&path, "rotten").expect("write");
        droplets
            .fetch(Some(HELLO), Some(&url))
            .await
            .expect("fetched again");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "hello");
    }

    #[tokio::test]
    async fn a_digest_that_would_leave_the_cache_is_refused() {
        let (_dir, droplets) = cache();
        let bad = droplets
            .fetch(Some("../../../../etc"), Some("http://127.0.0.1:1/"))
            .await;
        assert!(matches!(bad, Err(DropletError::BadDigest(_))));
    }

    #[tokio::test]
    async fn the_sweep_keeps_what_is_wanted() {
        let (_dir, droplets) = cache();
        let url = server("hello").await;
        droplets
            .fetch(Some(HELLO), Some(&url))
            .await
            .expect("fetched");
        assert_eq!(droplets.sweep(&HashSet::from([HELLO.to_owned()])), 0);
        assert_eq!(droplets.sweep(&HashSet::new()), 1);
    }
}
