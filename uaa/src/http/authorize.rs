//! `/oauth/authorize`: a page where a user logs in to a client, which then gets a code.
//!
//! There is no session: whoever wants a code types the password. The form carries a secret that a cookie repeats, so no other site
//! can log its visitors in to an account of its own; the page has no scripts, loads nothing and may not stand in a frame.

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use url::Url;

use super::limit::Address;
use super::{Shared, page};
use crate::error::Refusal;

/// The cookie that repeats the form's secret.
const COOKIE: &str = "uaa_login";

/// What the client asks for; unknown fields are ignored.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
pub(crate) struct Wanted {
    pub(super) response_type: String,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) state: String,
}

/// The form of the page: what the client asks for, and who the user is.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct LoginForm {
    #[serde(flatten)]
    wanted: Wanted,
    csrf: String,
    username: String,
    password: String,
}

/// Shows the page.
pub(crate) async fn show(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Response {
    match check(&shared, &wanted) {
        Ok(_) => form(&wanted, StatusCode::OK, None),
        Err(answer) => *answer,
    }
}

/// Takes the page's form, and sends the user back with a code.
pub(crate) async fn log_in(
    State(shared): State<Shared>,
    address: Address,
    headers: HeaderMap,
    Form(sent): Form<LoginForm>,
) -> Response {
    let back = match check(&shared, &sent.wanted) {
        Ok(back) => back,
        Err(answer) => return *answer,
    };
    if !is_from_our_page(&headers, &sent.csrf) {
        let text = "This form is too old, or cookies are off. Log in again.";
        return form(&sent.wanted, StatusCode::FORBIDDEN, Some(text));
    }
    match code_for(&shared, &address, &sent).await {
        Ok(code) => redirect(back, &[("code", &code), ("state", &sent.wanted.state)]),
        Err(refusal) => form(&sent.wanted, refusal.status, Some(&refusal.description)),
    }
}

async fn code_for(shared: &Shared, address: &Address, sent: &LoginForm) -> Result<String, Refusal> {
    let login = shared.uaa.authenticate(&sent.username, &sent.password);
    let user = address.limited(&shared.uaa, login).await?;
    let wanted = &sent.wanted;
    let (client, back) = (&wanted.client_id, &wanted.redirect_uri);
    shared
        .uaa
        .authorize(&user, client, back, &wanted.scope)
        .await
}

/// Where to send the user back to. As long as client and address are not known to belong together nothing is sent there.
fn check(shared: &Shared, wanted: &Wanted) -> Result<Url, Box<Response>> {
    let refused = |text: &str| Box::new(page::message(StatusCode::BAD_REQUEST, text));
    let client = shared.uaa.0.clients.get(&wanted.client_id);
    let client =
        client.ok_or_else(|| refused("The application that sent you here is not known."))?;
    let is_known = client.redirect_uris.contains(&wanted.redirect_uri);
    let back = Url::parse(&wanted.redirect_uri).ok().filter(|_| is_known);
    let back = back.ok_or_else(|| {
        refused("The application that sent you here named an address that is not registered for it (redirect_uri).")
    })?;
    if wanted.response_type != "code" {
        let error = ("error", "unsupported_response_type");
        return Err(Box::new(redirect(back, &[error, ("state", &wanted.state)])));
    }
    Ok(back)
}

fn redirect(mut back: Url, answers: &[(&str, &str)]) -> Response {
    for (name, value) in answers.iter().filter(|(_, value)| !value.is_empty()) {
        back.query_pairs_mut().append_pair(name, value);
    }
    let place = HeaderValue::from_str(back.as_str());
    let Ok(place) = place else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = (StatusCode::FOUND, [(header::LOCATION, place)]).into_response();
    page::guard(&mut response);
    response
}

/// The page with a new secret.
fn form(wanted: &Wanted, status: StatusCode, message: Option<&str>) -> Response {
    let secret = uuid::Uuid::new_v4().simple().to_string();
    let mut response = page::login(wanted, &secret, message, status);
    let cookie = format!("{COOKIE}={secret}; Path=/oauth/authorize; HttpOnly; SameSite=Strict");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn is_from_our_page(headers: &HeaderMap, secret: &str) -> bool {
    // Browsers say where a form comes from; old ones do not.
    let site = headers.get(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site == "cross-site") || secret.is_empty() {
        return false;
    }
    let cookies = headers.get_all(header::COOKIE).iter();
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let ours = pairs.filter_map(|pair| pair.trim().split_once('='));
    ours.filter(|(name, _)| *name == COOKIE)
        .any(|(_, value)| bool::from(value.as_bytes().ct_eq(secret.as_bytes())))
}
