//! The endpoints: intake, stream and recent lines in both forms.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode, header};
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
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
use crate::limits::{LOG_INTAKE_BYTES, STREAM_ASK_SECONDS, STREAM_UNANSWERED_TRIES};
use crate::wire::{Form, encode};

/// What a stream waits for.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// A stream is pinged this often, so that a dead peer is noticed.
    ping_every: Duration,
    /// A reader that takes nothing for this long is let go.
    send_limit: Duration,
    /// Whether the reader still may is asked again this often.
    ask_every: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            ping_every: Duration::from_secs(25),
            send_limit: Duration::from_secs(30),
            ask_every: STREAM_ASK_SECONDS,
        }
    }
}

/// When somebody asks for access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the first line.
    Opening,
    /// While a stream is open. A token that has merely expired meanwhile is good, for it was good when the stream was opened; one that
    /// was revoked is not.
    Open,
}

/// Whether somebody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Token and role are good.
    Yes,
    /// One of them is not.
    No,
    /// Whoever knows cannot be asked.
    Unknown,
}

/// Whether a token (the Authorization header's value) may read an app's logs.
pub type Access = Arc<
    dyn Fn(String, String, Moment) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync,
>;

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

fn token_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

async fn may_read(shared: &Shared, headers: &HeaderMap, app: &str) -> bool {
    match token_of(headers) {
        Some(token) => {
            let ask = (shared.access)(token.to_owned(), app.to_owned(), Moment::Opening);
            ask.await == Answer::Yes
        }
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
    let reader = Reader {
        access: shared.access,
        token: token_of(&headers).unwrap_or_default().to_owned(),
        app,
        form,
    };
    upgrade.on_upgrade(move |mut socket| async move {
        pump(&mut socket, lines, &reader, pace).await;
        // Answers the client's close, or says goodbye; a reader that takes nothing is not waited for long.
        let _ = tokio::time::timeout(pace.send_limit, socket.close()).await;
    })
}

/// Who reads a stream.
struct Reader {
    access: Access,
    token: String,
    app: String,
    form: Form,
}

impl Reader {
    /// Ends when the reader may not read any more, with the reason.
    async fn dismissed(&self, ask_every: Duration) -> &'static str {
        let mut unanswered = 0;
        loop {
            tokio::time::sleep(ask_every).await;
            let ask = (self.access)(self.token.clone(), self.app.clone(), Moment::Open);
            match ask.await {
                Answer::Yes => unanswered = 0,
                Answer::No => return DISMISSED,
                Answer::Unknown => unanswered += 1,
            }
            if unanswered >= STREAM_UNANSWERED_TRIES {
                return UNANSWERED;
            }
        }
    }

    /// A message of ours, in the reader's form.
    fn say(&self, text: String) -> Message {
        Message::Binary(encode(&own_line(&self.app, text), self.form).into())
    }
}

/// Why a stream ends that somebody may not read any more. At most 123 bytes: it goes into a close frame.
const DISMISSED: &str =
    "stream ended: your token was revoked or you may not read this app any more. Log in again.";
/// Why a stream ends when nobody can say whether it may go on.
const UNANSWERED: &str =
    "stream ended: it cannot be found out whether you may read this app. Try again.";

/// Sends lines until the client goes, or may not read any more. What the client says is read and ignored (old ones send a keep-alive
/// text).
async fn pump(socket: &mut WebSocket, mut lines: Stream, reader: &Reader, pace: Pace) {
    let mut ping = tokio::time::interval(pace.ping_every);
    ping.tick().await;
    let mut dismissed = std::pin::pin!(reader.dismissed(pace.ask_every));
    loop {
        let message = tokio::select! {
            // In this order: a flood of lines must not keep it from being noticed.
            biased;
            reason = &mut dismissed => return dismiss(socket, reader, reason, pace).await,
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => break,
                Some(Ok(_)) => continue,
            },
            _ = ping.tick() => Message::Ping(Default::default()),
            next = lines.next() => match next {
                Some(Next::Line(line)) => Message::Binary(encode(&line, reader.form).into()),
                Some(Next::Lost(count)) => reader.say(lost(count)),
                None => break,
            },
        };
        match tokio::time::timeout(pace.send_limit, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
}

/// Says why, as a line and in the close frame.
async fn dismiss(socket: &mut WebSocket, reader: &Reader, reason: &'static str, pace: Pace) {
    let close = CloseFrame {
        code: close_code::POLICY,
        reason: reason.into(),
    };
    for message in [reader.say(reason.to_owned()), Message::Close(Some(close))] {
        let sent = tokio::time::timeout(pace.send_limit, socket.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

fn lost(count: u64) -> String {
    format!(
        "{count} lines were dropped because this reader is too slow; read them with cf logs --recent"
    )
}

fn own_line(app: &str, message: String) -> LogLine {
    LogLine {
        app_id: app.to_owned(),
        source_type: "LGR".into(),
        source_instance: "0".into(),
        instance_id: String::new(),
        seq: 0,
        timestamp_ns: now_ns(),
        stream: LogStream::Err,
        message,
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
