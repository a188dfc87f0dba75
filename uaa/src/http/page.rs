//! The pages people see: plain HTML, nothing loaded, no scripts.

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::authorize::Wanted;

/// What every page is sent with.
const GUARDS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not no-referrer: with that browsers hide from us, too, where a form comes from.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Adds the guards to an answer.
pub(super) fn guard(response: &mut Response) {
    for (name, value) in GUARDS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}

/// A page that says one thing.
pub(super) fn message(status: StatusCode, text: &str) -> Response {
    page(status, &format!("<p>{}</p>", escaped(text)))
}

/// The form where a user logs in to a client.
pub(super) fn login(
    wanted: &Wanted,
    secret: &str,
    message: Option<&str>,
    status: StatusCode,
) -> Response {
    let hidden: String = [
        ("response_type", wanted.response_type.as_str()),
        ("client_id", &wanted.client_id),
        ("redirect_uri", &wanted.redirect_uri),
        ("scope", &wanted.scope),
        ("state", &wanted.state),
        ("csrf", secret),
    ]
    .iter()
    .map(|(name, value)| {
        format!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
            escaped(value)
        )
    })
    .collect();
    let message = message.map_or_else(String::new, |text| {
        format!("<p role=\"alert\">{}</p>", escaped(text))
    });
    let client = escaped(&wanted.client_id);
    page(
        status,
        &format!(
            "<p>Log in to <b>{client}</b>.</p>{message}\
             <form method=\"post\" action=\"/oauth/authorize\">{hidden}\
             <p><label>Email <input name=\"username\" autocomplete=\"username\" autofocus required></label></p>\
             <p><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label></p>\
             <p><button>Log in</button></p></form>"
        ),
    )
}

fn page(status: StatusCode, body: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Log in</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font-family:sans-serif;max-width:24em;margin:4em auto}}input{{width:100%}}</style>{body}</html>"
    );
    let mut response = (status, axum::response::Html(text)).into_response();
    guard(&mut response);
    response
}

/// A text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
