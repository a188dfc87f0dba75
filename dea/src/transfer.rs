//! Downloads and uploads of packages, droplets, caches and buildpacks. URLs carry
//! credentials, so errors name them without.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWriteExt;

use crate::limits::DOWNLOAD_BYTES;

/// A download without a byte for this long is given up.
const DOWNLOAD_IDLE: Duration = Duration::from_secs(30);
/// An upload's answer may take this long.
const UPLOAD_IDLE: Duration = Duration::from_secs(300);
/// Bytes that are read of an answer to an upload, and of an error.
const ANSWER_BYTES: usize = 64 * 1024;
/// A controller that is briefly away is tried again.
const TRIES: u32 = 4;

/// A finished download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Hex SHA-1 of the bytes.
    pub sha1: String,
    /// Bytes.
    pub size: u64,
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No connection, or it broke.
    #[error("{verb} {url}: {reason}")]
    Broken {
        /// GET or POST.
        verb: &'static str,
        /// Without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// Another status than success.
    #[error("{verb} {url}: HTTP status {status}: {body}")]
    Status {
        /// GET or POST.
        verb: &'static str,
        /// Without credentials.
        url: String,
        /// Status.
        status: u16,
        /// The first bytes of the answer.
        body: String,
    },
    /// There is more than a DEA takes.
    #[error("{verb} {url}: more than {limit} bytes")]
    TooLarge {
        /// GET.
        verb: &'static str,
        /// Without credentials.
        url: String,
        /// What is taken.
        limit: u64,
    },
    /// Writing or reading the local file failed.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server's job failed or took too long.
    #[error("POST {url}: the upload job {what}")]
    Job {
        /// Without credentials.
        url: String,
        /// What happened.
        what: String,
    },
}

impl TransferError {
    /// Whether trying again can help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }

    /// Whether the server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }
}

/// Moves bytes over HTTP.
#[derive(Clone)]
pub struct Transfer {
    http: reqwest::Client,
    /// Most bytes of one download.
    limit: u64,
}

/// Removes credentials and signatures from a URL for messages.
pub fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut u) => {
            let _ = u.set_username("");
            let _ = u.set_password(None);
            let pairs: Vec<(String, String)> = u.query_pairs().into_owned().collect();
            let is_secret = |key: &str| key.to_ascii_lowercase().contains("signature");
            if pairs.iter().any(|(key, _)| is_secret(key)) {
                let kept = pairs.iter().filter(|(key, _)| !is_secret(key));
                u.query_pairs_mut().clear().extend_pairs(kept);
            }
            u.to_string()
        }
        Err(_) => "(bad URL)".into(),
    }
}

impl Transfer {
    /// A client with connect and idle limits.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(DOWNLOAD_IDLE)
            .build()?;
        Ok(Self {
            http,
            limit: DOWNLOAD_BYTES,
        })
    }

    /// Downloads to `path`, computing the SHA-1 on the way; tried a few times.
    pub async fn download(&self, url: &str, path: &Path) -> Result<Fetched, TransferError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.download_once(url, path).await {
                Err(e) if e.is_passing() && tried < TRIES => pause(tried).await,
                done => return done,
            }
        }
    }

    async fn download_once(&self, url: &str, path: &Path) -> Result<Fetched, TransferError> {
        let answer = self
            .http
            .get(url)
            .send()
            .await
            .map_err(|e| broken("GET", url, e))?;
        let answer = expect_ok("GET", url, answer).await?;
        let mut file = tokio::fs::File::create(path)
            .await
            .map_err(|e| file_error(path, e))?;
        let (mut hash, mut size) = (Sha1::new(), 0u64);
        let mut body = answer.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|e| broken("GET", url, e))?;
            hash.update(&chunk);
            size += chunk.len() as u64;
            if size > self.limit {
                // Not even what came is of use.
                let _ = tokio::fs::remove_file(path).await;
                return Err(TransferError::TooLarge {
                    verb: "GET",
                    url: shown(url),
                    limit: self.limit,
                });
            }
            file.write_all(&chunk)
                .await
                .map_err(|e| file_error(path, e))?;
        }
        file.flush().await.map_err(|e| file_error(path, e))?;
        Ok(Fetched {
            sha1: hex::encode(hash.finalize()),
            size,
        })
    }

    /// Uploads a file as the multipart field `upload[droplet]` and waits for the
    /// server's job when it answers with one.
    pub async fn upload(&self, url: &str, path: &Path, name: &str) -> Result<(), TransferError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.upload_once(url, path, name).await {
                Err(e) if e.is_passing() && tried < TRIES => pause(tried).await,
                done => return done,
            }
        }
    }

    async fn upload_once(&self, url: &str, path: &Path, name: &str) -> Result<(), TransferError> {
        let file = tokio::fs::File::open(path)
            .await
            .map_err(|e| file_error(path, e))?;
        let size = file
            .metadata()
            .await
            .map_err(|e| file_error(path, e))?
            .len();
        let stream = tokio_util::io::ReaderStream::new(file);
        let part =
            reqwest::multipart::Part::stream_with_length(reqwest::Body::wrap_stream(stream), size)
                .file_name(name.to_owned())
                .mime_str("application/octet-stream")
                .map_err(|e| broken("POST", url, e))?;
        let form = reqwest::multipart::Form::new().part("upload[droplet]", part);
        let answer = self
            .http
            .post(url)
            .timeout(UPLOAD_IDLE)
            .multipart(form)
            .send()
            .await;
        let answer = expect_ok("POST", url, answer.map_err(|e| broken("POST", url, e))?).await?;
        let body = start_of(answer).await.map_err(|e| broken("POST", url, e))?;
        match job_url(&body) {
            Some(job) => self.wait_for_job(url, &job).await,
            None => Ok(()),
        }
    }

    /// Polls the job until it is finished or failed, 300 s at most, as the original.
    async fn wait_for_job(&self, url: &str, job: &str) -> Result<(), TransferError> {
        let failed = |what: String| TransferError::Job {
            url: shown(url),
            what,
        };
        for round in 0..300u32 {
            let answer = self
                .http
                .get(job)
                .send()
                .await
                .map_err(|e| broken("GET", job, e))?;
            let body = start_of(answer).await.map_err(|e| broken("GET", job, e))?;
            // What cannot be read is no end of a job.
            let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            match body["entity"]["status"].as_str() {
                Some("finished") => return Ok(()),
                Some("failed") => {
                    return Err(failed(format!(
                        "failed: {}",
                        body["entity"]["error_details"]["description"]
                    )));
                }
                _ => {}
            }
            // Quick at first: small droplets are stored within milliseconds.
            tokio::time::sleep(
                Duration::from_millis(20 << round.min(6)).min(Duration::from_secs(1)),
            )
            .await;
        }
        Err(failed("did not finish within 300 s".into()))
    }
}

fn job_url(body: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    value["metadata"]["url"]
        .as_str()
        .filter(|u| u.starts_with("http"))
        .map(str::to_owned)
}

async fn expect_ok(
    verb: &'static str,
    url: &str,
    answer: reqwest::Response,
) -> Result<reqwest::Response, TransferError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let mut body = start_of(answer).await.unwrap_or_default();
    body.truncate(
        body.char_indices()
            .nth(300)
            .map_or(body.len(), |(at, _)| at),
    );
    Err(TransferError::Status {
        verb,
        url: shown(url),
        status: status.as_u16(),
        body,
    })
}

/// The first bytes of an answer that should be short.
async fn start_of(answer: reqwest::Response) -> reqwest::Result<String> {
    let (mut text, mut body) = (Vec::new(), answer.bytes_stream());
    while text.len() < ANSWER_BYTES
        && let Some(chunk) = body.next().await
    {
        text.extend_from_slice(&chunk?);
    }
    text.truncate(ANSWER_BYTES);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn pause(tried: u32) {
    tokio::time::sleep(Duration::from_millis(200 << tried)).await;
}

fn broken(verb: &'static str, url: &str, e: reqwest::Error) -> TransferError {
    let reason = component::daemon::chain(&e.without_url());
    TransferError::Broken {
        verb,
        url: shown(url),
        reason,
    }
}

fn file_error(path: &Path, source: std::io::Error) -> TransferError {
    TransferError::File {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_urls_without_credentials_and_signatures() {
        assert_eq!(shown("http://u:secret@h:1/p?q=1"), "http://h:1/p?q=1");
        assert_eq!(
            shown("http://h:1/p?task=t&expires=9&key=ab&signature=0123&async=true"),
            "http://h:1/p?task=t&expires=9&key=ab&async=true"
        );
        assert_eq!(
            shown("http://h:1/p?X-Amz-Expires=9&X-Amz-Signature=0123"),
            "http://h:1/p?X-Amz-Expires=9"
        );
        assert_eq!(shown("nonsense"), "(bad URL)");
    }

    #[tokio::test]
    async fn a_download_without_end_is_ended() {
        let endless = |sent: usize| {
            let chunk = axum::body::Bytes::from(vec![0u8; 1000]);
            let chunks = futures_util::stream::iter(std::iter::repeat_n(chunk, sent / 1000));
            axum::body::Body::from_stream(chunks.map(Ok::<_, std::io::Error>))
        };
        let app = axum::Router::new()
            .route(
                "/fits",
                axum::routing::get(move || async move { endless(10_000) }),
            )
            .route(
                "/more",
                axum::routing::get(move || async move { endless(11_000) }),
            )
            .route(
                "/endless",
                axum::routing::get(move || async move { endless(usize::MAX) }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        let dir = tempfile::tempdir().expect("tempdir");
        let transfer = Transfer {
            limit: 10_000,
            ..Transfer::new().expect("client")
        };
        let file = dir.path().join("file");
        let url = |path: &str| format!("http://{address}/{path}");
        let fetched = transfer.download(&url("fits"), &file).await;
        assert_eq!(fetched.expect("it fits").size, 10_000);
        for path in ["more", "endless"] {
            let error = transfer
                .download(&url(path), &file)
                .await
                .expect_err("too large");
            assert!(
                error.to_string().ends_with("more than 10000 bytes"),
                "{error}"
            );
            assert!(!file.exists(), "what came of it is gone");
        }
    }

    #[test]
    fn only_an_absolute_job_url_is_followed() {
        assert_eq!(
            job_url(r#"{"metadata":{"url":"http://h/j"}}"#).as_deref(),
            Some("http://h/j")
        );
        assert_eq!(job_url(r#"{"metadata":{"url":"/j"}}"#), None);
        assert_eq!(job_url(""), None);
    }
}
