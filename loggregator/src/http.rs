//! The endpoints: intake, stream and recent lines in both forms.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode, header};
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bus::log::{LogBatch, LogLine, LogStream};
use component::{BasicAuth, authorized};
use futures_util::SinkExt as _;
use serde::Deserialize;
use serde_json::json;

use crate::hub::{Hub, Next, Stream};
use crate::limits::LOG_INTAKE_BYTES;
use crate::wire::{Form, encode};

/// What a stream waits for.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// A stream is pinged this often, so that a dead peer is noticed.
    ping_every: Duration,
    /// A reader that takes nothing for this long is let go.
    send_limit: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            ping_every: Duration::from_secs(25),
            send_limit: Duration::from_secs(30),
        }
    }
}

/// Whether a token (the Authorization header's value) may read an app's logs.
pub type Access =
    Arc<dyn Fn(String, String) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Shared {
    hub: Hub,
    access: Access,
    intake: BasicAuth,
    pace: Pace,
}

/// The router over a hub.
pub fn router(hub: Hub, access: Access, intake: BasicAuth) -> Router {
    paced(hub, access, intake, Pace::default())
}

fn paced(hub: Hub, access: Access, intake: BasicAuth, pace: Pace) -> Router {
    Router::new()
        .route(
            bus::log::INTAKE_PATH,
            post(accept).layer(DefaultBodyLimit::max(LOG_INTAKE_BYTES)),
        )
        .route("/apps/{guid}/stream", get(stream))
        .route("/apps/{guid}/recentlogs", get(recent))
        .route("/tail/", get(old_tail))
        .route("/tail", get(old_tail))
        .route("/recent", get(old_recent))
        .with_state(Shared {
            hub,
            access,
            intake,
            pace,
        })
}

/// The body of a stranger is not read.
async fn accept(State(shared): State<Shared>, request: Request) -> Response {
    if shared.intake.password.is_empty() || !authorized(request.headers(), &shared.intake) {
        return (StatusCode::UNAUTHORIZED, "log intake: wrong credentials\n").into_response();
    }
    if announced(request.headers()) > LOG_INTAKE_BYTES as u64 {
        return (
            StatusCode::PAYLOAD_TOO_LARGE,
            "log intake: the batch is too large\n",
        )
            .into_response();
    }
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    match serde_json::from_slice::<LogBatch>(&body) {
        Ok(batch) if batch.may_defer => Json(shared.hub.offer(batch)).into_response(),
        Ok(batch) => Json(json!({"accepted": shared.hub.pace(batch).await})).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("log intake: {error}\n")).into_response(),
    }
}

/// Bytes that a body will have, where its sender says so.
fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[derive(Deserialize)]
struct AppParam {
    app: String,
}

async fn stream(
    State(shared): State<Shared>,
    Path(guid): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    follow(shared, guid, headers, upgrade, Form::Dropsonde).await
}

async fn old_tail(
    State(shared): State<Shared>,
    Query(param): Query<AppParam>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    follow(shared, param.app, headers, upgrade, Form::Old).await
}

async fn recent(
    State(shared): State<Shared>,
    Path(guid): Path<String>,
    headers: HeaderMap,
) -> Response {
    dump(shared, guid, headers, Form::Dropsonde).await
}

async fn old_recent(
    State(shared): State<Shared>,
    Query(param): Query<AppParam>,
    headers: HeaderMap,
) -> Response {
    dump(shared, param.app, headers, Form::Old).await
}

async fn may_read(shared: &Shared, headers: &HeaderMap, app: &str) -> bool {
    match headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
    {
        Some(token) => (shared.access)(token.to_owned(), app.to_owned()).await,
        None => false,
    }
}

fn refused() -> Response {
    (
        StatusCode::UNAUTHORIZED,
        "You are not authorized to read the logs of this app. Log in again.\n",
    )
        .into_response()
}

async fn follow(
    shared: Shared,
    app: String,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
    form: Form,
) -> Response {
    if !may_read(&shared, &headers, &app).await {
        return refused();
    }
    // Subscribed before the upgrade is answered: a line logged right after it is not lost.
    let lines = shared.hub.follow(&app);
    let pace = shared.pace;
    upgrade.on_upgrade(move |mut socket| async move {
        pump(&mut socket, lines, app, form, pace).await;
        // Answers the client's close, or says goodbye; a reader that takes nothing is not waited for long.
        let _ = tokio::time::timeout(pace.send_limit, socket.close()).await;
    })
}

/// Sends lines until the client goes. What the client says is read and ignored (old ones send a keep-alive text).
async fn pump(socket: &mut WebSocket, mut lines: Stream, app: String, form: Form, pace: Pace) {
    let mut ping = tokio::time::interval(pace.ping_every);
    ping.tick().await;
    loop {
        let message = tokio::select! {
            next = lines.next() => match next {
                Some(Next::Line(line)) => Message::Binary(encode(&line, form).into()),
                Some(Next::Lost(count)) => Message::Binary(encode(&lost(&app, count), form).into()),
                None => break,
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => break,
                Some(Ok(_)) => continue,
            },
            _ = ping.tick() => Message::Ping(Default::default()),
        };
        match tokio::time::timeout(pace.send_limit, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
}

fn lost(app: &str, count: u64) -> LogLine {
    LogLine {
        app_id: app.to_owned(),
        source_type: "LGR".into(),
        source_instance: "0".into(),
        instance_id: String::new(),
        seq: 0,
        timestamp_ns: now_ns(),
        stream: LogStream::Err,
        message: format!(
            "{count} lines were dropped because this reader is too slow; read them with cf logs --recent"
        ),
    }
}

fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

async fn dump(shared: Shared, app: String, headers: HeaderMap, form: Form) -> Response {
    if !may_read(&shared, &headers, &app).await {
        return refused();
    }
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut body = Vec::new();
    for line in shared.hub.recent(&app) {
        body.extend_from_slice(format!("--{boundary}\r\n\r\n").as_bytes());
        body.extend_from_slice(&encode(&line, form));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    // Clients cut the boundary out by a pattern: it must be last and without quotes.
    (
        [(
            header::CONTENT_TYPE,
            format!("multipart/x-protobuf; boundary={boundary}"),
        )],
        body,
    )
        .into_response()
}

#[cfg(test)]
mod tests;
