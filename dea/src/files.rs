//! The directory server: files of an instance by signed URL, as `cf files` reads
//! them. Paths are resolved inside the container, so that no link can lead out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha512;
use subtle::ConstantTimeEq;

use crate::capture;
use crate::host::Host;
use crate::instance::script::quoted;
use crate::instance::state::State as InstanceState;

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
    match capture::output(&*container, &list_or_print(&asked.path)).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain")], text).into_response(),
        Err(_) => refuse(StatusCode::NOT_FOUND, "Entity not found"),
    }
}

/// A directory is listed (name padded to 35, size right-aligned to 10, `-` for
/// directories), a file is printed.
fn list_or_print(path: &str) -> String {
    let inside = quoted(&format!("/home/vcap/{}", path.trim_start_matches('/')));
    format!(
        "p={inside}; if [ -d \"$p\" ]; then cd \"$p\" && for f in * .[!.]*; do \
         if [ -d \"$f\" ]; then printf '%-35s%10s\\n' \"$f/\" -; \
         elif [ -e \"$f\" ]; then printf '%-35s%10s\\n' \"$f\" \"$(stat -Lc %s \"$f\")B\"; fi; done; \
         else cat \"$p\"; fi"
    )
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
