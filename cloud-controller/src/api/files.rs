//! Files of instances: fetched from the DEA's directory server and answered here, because old clients cannot follow a redirect to a host
//! without dots.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bus::dea::{Find, Found, STATUS, Status, Stop};
use futures_util::StreamExt as _;
use http::{StatusCode, header};
use serde_json::{Value, json};
use url::Url;
use v2_api::{ApiError, Code};

use super::apps;
use super::instances::{FIND, question, wanted};
use super::routing::{Routes, get};
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::limits::{DEA_ANSWER_SECONDS, FILE_BYTES, FILE_REFUSAL_BYTES, FILE_SECONDS};
use crate::store::AppRow;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/apps/{guid}/instances/{index}/files", get(files_root))
        .route("/v2/apps/{guid}/instances/{index}/files/", get(files_root))
        .route(
            "/v2/apps/{guid}/instances/{index}/files/{*path}",
            get(files),
        )
}

async fn files_root(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((guid, index)): Path<(String, String)>,
) -> Outcome<Response> {
    fetch(&ctl, &caller, &guid, &index, "").await
}

async fn files(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((guid, index, path)): Path<(String, String, String)>,
) -> Outcome<Response> {
    fetch(&ctl, &caller, &guid, &index, &path).await
}

fn failed(text: impl std::fmt::Display) -> Failure {
    fail_with(Code::FileError, text)
}

/// A file or listing of an instance.
async fn fetch(
    ctl: &Ctl,
    caller: &Caller,
    guid: &str,
    index: &str,
    path: &str,
) -> Outcome<Response> {
    let (app, _) = apps::load(ctl, caller, guid).await?;
    let filter = which(&app, index, path)?;
    ctl.need_bus()?;
    let find = Find {
        filter,
        include_stats: false,
        path: Some(format!("/{path}")),
    };
    let found: Vec<Found> = ctl.bus.gather(FIND, &find, 1, DEA_ANSWER_SECONDS).await?;
    let found = found
        .into_iter()
        .next()
        .and_then(|found| Some((found.dea, found.file_uri_v2?)));
    let (dea, uri) =
        found.ok_or_else(|| failed(format!("no DEA knows instance {index} of {}", app.name)))?;
    let url = own_address(ctl, &dea, &uri).await?;
    let answer = ask_file_server(url, FILE_SECONDS)
        .await
        .map_err(|error| failed(format!("the DEA's file server did not answer: {error}")))?;
    if answer.status().is_success() {
        return pass_on(answer, FILE_BYTES);
    }
    let missing = answer.status().as_u16() == 404;
    let said = refusal(answer).await;
    let text = format!("/{path} of instance {index} of app {}: {said}", app.name);
    Err(match missing {
        true => fail_with(Code::ResourceNotFound, text),
        false => failed(text),
    })
}

/// Which instance is meant: by its index, or by its id.
fn which(app: &AppRow, index: &str, path: &str) -> Outcome<Stop> {
    if !app.is_started() {
        return Err(failed(format!(
            "Request failed for app: {} path: {path} as the app is in stopped state.",
            app.name
        )));
    }
    let of = |states: &[&str]| Some(states.iter().map(|state| (*state).to_owned()).collect());
    match index.parse::<u32>() {
        Ok(index) if index < wanted(app) => Ok(Stop {
            indices: Some(vec![index]),
            states: of(&["RUNNING", "STARTING"]),
            ..question(app)
        }),
        Ok(_) => Err(failed(format!(
            "Request failed for app: {}, instance: {index} and path: {path} as the instance is out of range.",
            app.name
        ))),
        Err(_) => Ok(Stop {
            version: None,
            instance_ids: Some(vec![index.to_owned()]),
            states: of(&["RUNNING", "STARTING", "CRASHED"]),
            ..question(app)
        }),
    }
}

/// What a DEA answered, if it is its own file server. A DEA that is not known, or has moved, is asked where it is.
async fn own_address(ctl: &Ctl, dea: &str, uri: &str) -> Outcome<Url> {
    if let Ok(url) = ctl.dea_addresses().own(dea, uri) {
        return Ok(url);
    }
    let expected = ctl.live().deas(Instant::now()).max(1);
    let nothing = json!({});
    let answers: Vec<Status> = ctl
        .bus
        .gather(STATUS, &nothing, expected, DEA_ANSWER_SECONDS)
        .await?;
    ctl.dea_addresses().learn(answers);
    let own = ctl.dea_addresses().own(dea, uri);
    own.map_err(|foreign| {
        tracing::warn!(%foreign, "files are not fetched from there");
        let text = "the answer of the DEA names an address that is not its own; nothing was fetched. The controller's log has it";
        ApiError::with(Code::FileError, text)
            .with_status(StatusCode::BAD_GATEWAY)
            .into()
    })
}

/// Nothing that a file server answers leads elsewhere.
async fn ask_file_server(url: Url, limit: Duration) -> Result<reqwest::Response, reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    client.get(url).send().await
}

/// The answer as it comes, no more than so much of it. It ends with the client's request: then nobody reads it any more.
fn pass_on(answer: reqwest::Response, limit: u64) -> Outcome<Response> {
    if answer.content_length().is_some_and(|bytes| bytes > limit) {
        return Err(failed(format!(
            "it is larger than the {limit} bytes that are passed on"
        )));
    }
    let mut left = limit;
    let content = answer.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(io::Error::other)?;
        left = left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| io::Error::other("more than is passed on"))?;
        Ok::<_, io::Error>(chunk)
    });
    let kind = [(header::CONTENT_TYPE, "text/plain")];
    Ok((kind, Body::from_stream(content)).into_response())
}

/// What a file server says when it refuses: the text of its `error`, or the status. Clients read JSON of ours, never its body.
async fn refusal(mut answer: reqwest::Response) -> String {
    let status = answer.status();
    let mut body = Vec::new();
    while body.len() < FILE_REFUSAL_BYTES {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let said = serde_json::from_slice::<Value>(&body).ok();
    let said = said.and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    said.unwrap_or_else(|| format!("the DEA's file server answers {status}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A server that answers with these bytes and keeps the connection open.
    async fn server(answer: &'static str) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            assert!(socket.read(&mut head).await.unwrap() > 0);
            socket.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        url.parse().unwrap()
    }

    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    #[tokio::test]
    async fn a_file_is_bounded() {
        for (answer, limit, fits) in [
            (WHOLE, 5, true),
            (WHOLE, 4, false),
            (CHUNKED, 5, true),
            (CHUNKED, 4, false),
        ] {
            let url = server(answer).await;
            let got = ask_file_server(url, FILE_SECONDS).await.unwrap();
            let read = match pass_on(got, limit) {
                Ok(response) => axum::body::to_bytes(response.into_body(), 100).await.ok(),
                Err(_) => None,
            };
            assert_eq!(read.is_some(), fits, "{limit} of {answer}");
        }
    }

    #[tokio::test]
    async fn a_file_server_that_never_ends_is_left() {
        let soon = Duration::from_millis(20);
        let url = server("").await;
        assert!(ask_file_server(url, soon).await.unwrap_err().is_timeout());
        let url = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").await;
        // The limit holds for the content too.
        if let Ok(answer) = ask_file_server(url, soon).await {
            assert!(answer.bytes().await.unwrap_err().is_timeout());
        }
    }
}
