//! The directory server: files of an instance by signed URL, as `cf files` reads
//! them. Paths are resolved below the container's root, so that no link can lead out; what is no regular file is not opened; a file
//! is read no further than its client takes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::ReaderStream;
use warden::{Entry, Inside, Unreadable};

use crate::host::Host;
use crate::instance::state::State as InstanceState;
use crate::limits::{DIRECTORY_ENTRIES, FILE_BYTES, FILE_READERS};

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;
/// A URL is good for this many seconds, as in the original.
const VALID_SECS: u64 = 3600;

/// Signs file URLs with a key that lives as long as the process.
#[derive(Clone)]
pub struct Signer {
    key: String,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            key: bus::ids::hex32(),
        }
    }
}

impl Signer {
    /// A signer with a given key.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into() }
    }

    /// Hex HMAC-SHA512 over `<url path>?path=…&timestamp=…`.
    pub fn sign(&self, url_path: &str, path: &str, timestamp: u64) -> String {
        let text = format!("{url_path}?{}", query(path, timestamp));
        let mut mac = Hmac::<Sha512>::new_from_slice(self.key.as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

fn query(path: &str, timestamp: u64) -> String {
    let mut q = url::form_urlencoded::Serializer::new(String::new());
    q.append_pair("path", path)
        .append_pair("timestamp", &timestamp.to_string());
    q.finish()
}

fn unix_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

impl Host {
    /// The signed URL of a path of an instance.
    pub fn file_url(&self, instance_id: &str, path: &str) -> String {
        let url_path = format!("/instance_paths/{instance_id}");
        let now = unix_secs();
        let hmac = self.file_signer.sign(&url_path, path, now);
        format!(
            "http://{}{url_path}?hmac={hmac}&{}",
            self.files_addr,
            query(path, now)
        )
    }
}

#[derive(Deserialize)]
struct Asked {
    hmac: String,
    path: String,
    timestamp: u64,
}

/// Serves the directory server on a bound listener.
pub fn serve(host: &Arc<Host>, listener: tokio::net::TcpListener) {
    let app = Router::new()
        .route("/instance_paths/{id}", get(instance_path))
        .with_state(Arc::clone(host));
    component::serve(listener, app, &host.tasks);
}

/// Binds the directory server.
pub async fn bind(addr: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(addr).await
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, axum::Json(json!({ "error": reason }))).into_response()
}

async fn instance_path(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let expected = host.file_signer.sign(
        &format!("/instance_paths/{id}"),
        &asked.path,
        asked.timestamp,
    );
    if !bool::from(expected.as_bytes().ct_eq(asked.hmac.as_bytes())) {
        return refuse(StatusCode::UNAUTHORIZED, "Invalid HMAC");
    }
    if unix_secs().saturating_sub(asked.timestamp) > VALID_SECS {
        return refuse(StatusCode::BAD_REQUEST, "Url expired");
    }
    let Some(instance) = host.instances.get(&id) else {
        return refuse(StatusCode::NOT_FOUND, "Unknown instance");
    };
    let handle = instance.standing().handle.clone();
    let (InstanceState::Running, Some(handle)) = (instance.state(), handle) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "Instance unavailable");
    };
    let Ok(container) = host.backend.lookup(&handle).await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "Instance unavailable");
    };
    let Ok(reader) = Arc::clone(&instance.file_readers).try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &too_many_readers());
    };
    let inside = format!("/home/vcap/{}", asked.path.trim_start_matches('/'));
    match container.look(&inside, DIRECTORY_ENTRIES).await {
        Ok(Inside::Directory { entries, is_whole }) => {
            text(Body::from(listing(&entries, is_whole)))
        }
        Ok(Inside::File { file, size }) if size <= FILE_BYTES => {
            text(Body::from_stream(contents(file, reader)))
        }
        Ok(Inside::File { size, .. }) => refuse(StatusCode::PAYLOAD_TOO_LARGE, &too_large(size)),
        Err(error) => not_read(&error),
    }
}

fn text(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], body).into_response()
}

fn too_many_readers() -> String {
    format!(
        "{FILE_READERS} files of this instance are being read already; try again when one of them is done"
    )
}

fn too_large(size: u64) -> String {
    format!("The file has {size} bytes; at most {FILE_BYTES} can be read this way")
}

fn not_read(error: &warden::Error) -> Response {
    match error {
        warden::Error::Unreadable {
            why: Unreadable::Absent | Unreadable::Denied,
            ..
        } => refuse(StatusCode::NOT_FOUND, "Entity not found"),
        warden::Error::Unreadable { why, .. } => {
            refuse(StatusCode::BAD_REQUEST, &format!("Not readable: {why}"))
        }
        other => {
            tracing::warn!(error = %other, "a file of an instance was not read");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "Instance unavailable")
        }
    }
}

/// The bytes of a file, read as the client takes them: one that goes away ends the reading with the chunk under way. What is
/// appended meanwhile is not followed beyond the bound.
fn contents(
    file: std::fs::File,
    reader: OwnedSemaphorePermit,
) -> impl Stream<Item = std::io::Result<Bytes>> {
    let file = tokio::fs::File::from_std(file).take(FILE_BYTES);
    ReaderStream::with_capacity(file, CHUNK).map(move |chunk| {
        let _while_it_lasts = &reader;
        chunk
    })
}

/// Name padded to 35, size right-aligned to 10, `-` for directories; hidden ones last.
fn listing(entries: &BTreeMap<String, Entry>, is_whole: bool) -> String {
    let (hidden, plain): (Vec<_>, Vec<_>) =
        entries.iter().partition(|(name, _)| name.starts_with('.'));
    let line = |(name, entry): &(&String, &Entry)| match entry {
        Entry::Directory => format!("{:<35}{:>10}\n", format!("{name}/"), "-"),
        Entry::Other(size) => format!("{name:<35}{:>10}\n", format!("{size}B")),
    };
    let mut text: String = plain.iter().chain(&hidden).map(line).collect();
    if !is_whole {
        text += &format!("(more than {DIRECTORY_ENTRIES} entries; the others are not listed)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_agree_with_the_published_vector() {
        let signer = Signer::new("00112233445566778899aabbccddeeff");
        let hmac = signer.sign("/instance_paths/deadbeef", "/logs/app.log", 1_400_000_000);
        assert_eq!(
            hmac,
            "8c8ee13c0f6c8a8f8d60f6517f674eef1cfc3524918fb78590f4c2b0c5c5e689\
             d06b2219b11e4ce1aebecf72bdf73310d8fa156b0a0918c434ce5c4fdbc1821e"
        );
    }
}
