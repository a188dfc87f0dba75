//! `/oauth/authorize`: a page where a user logs in to a client, which then gets a code.
//!
//! There is no session: whoever wants a code types the password. The form carries a mark that only we can make of the browser's cookie
//! and of what the client asks for, so no other site can log its visitors in to an account of its own; the page has no scripts, loads
//! nothing and may not stand in a frame.

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use url::Url;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::limit::Address;
use super::{Shared, page};
use crate::error::Refusal;

/// The cookie of a form over HTTPS: nobody but this very host can have set it.
const COOKIE: &str = "__Host-uaa_login";
/// The cookie over plain HTTP, where browsers accept no `__Host-`: a site beside ours can set it, which the form's mark, `Origin` and
/// `Sec-Fetch-Site` have to make up for.
const PLAIN_COOKIE: &str = "uaa_login";

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
pub(crate) async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Response {
    match check(&shared, &wanted) {
        Ok(_) => Page::of(&shared, &headers).form(&wanted, StatusCode::OK, None),
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
    let page = Page::of(&shared, &headers);
    if !page.sent(&headers, &sent) {
        let text = "This form is too old, or cookies are off. Log in again.";
        return page.form(&sent.wanted, StatusCode::FORBIDDEN, Some(text));
    }
    match code_for(&shared, &address, &sent).await {
        Ok(code) => redirect(back, &[("code", &code), ("state", &sent.wanted.state)]),
        Err(refusal) => page.form(&sent.wanted, refusal.status, Some(&refusal.description)),
    }
}

async fn code_for(shared: &Shared, address: &Address, sent: &LoginForm) -> Result<String, Refusal> {
    let uaa = &shared.uaa;
    let login = uaa.authenticate(&sent.username, &sent.password, address.as_str());
    let user = address.limited(uaa, login).await?;
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

/// How this browser gets the page.
struct Page {
    key: hmac::Key,
    is_https: bool,
}

impl Page {
    fn of(shared: &Shared, headers: &HeaderMap) -> Page {
        Page {
            key: shared.uaa.0.rules.now().form_key.clone(),
            is_https: shared.base(headers).starts_with("https:"),
        }
    }

    fn cookie(&self) -> &'static str {
        if self.is_https { COOKIE } else { PLAIN_COOKIE }
    }

    /// The page with a new cookie.
    fn form(&self, wanted: &Wanted, status: StatusCode, message: Option<&str>) -> Response {
        let session = uuid::Uuid::new_v4().simple().to_string();
        let mark = hmac::sign(&self.key, marked(&session, wanted).as_bytes());
        let mark = URL_SAFE_NO_PAD.encode(mark.as_ref());
        let mut response = page::login(wanted, &mark, message, status);
        let (name, secure) = (self.cookie(), if self.is_https { "; Secure" } else { "" });
        let cookie = format!("{name}={session}; Path=/; HttpOnly; SameSite=Strict{secure}");
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        response
    }

    /// Whether a form is ours: sent from our page, by the browser that got it, for what it was asked for.
    fn sent(&self, headers: &HeaderMap, sent: &LoginForm) -> bool {
        let Some(session) = only_cookie(headers, self.cookie()) else {
            return false;
        };
        let Ok(mark) = URL_SAFE_NO_PAD.decode(&sent.csrf) else {
            return false;
        };
        let marked = marked(session, &sent.wanted);
        is_same_origin(headers) && hmac::verify(&self.key, marked.as_bytes(), &mark).is_ok()
    }
}

/// What a form's mark is made of.
fn marked(session: &str, wanted: &Wanted) -> String {
    let parts = [
        session,
        &wanted.client_id,
        &wanted.redirect_uri,
        &wanted.scope,
        &wanted.state,
    ];
    // As JSON, so that no two lists of parts look alike.
    serde_json::json!(parts).to_string()
}

/// The value of a cookie, unless there are two: a site beside ours may have set one of them.
fn only_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter();
    let pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut ours = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    let (_, value) = ours.next()?;
    ours.next().is_none().then_some(value)
}

/// Browsers say where a form comes from: by `Sec-Fetch-Site` on HTTPS and this very machine, by `Origin` elsewhere. Other programs
/// need not.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let site = headers.get(HeaderName::from_static("sec-fetch-site"));
    let origin = headers.get(header::ORIGIN);
    let host = headers.get(header::HOST);
    match (site, origin) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let authority = origin.to_str().ok().and_then(|text| text.split_once("://"));
            let host = host.and_then(|host| host.to_str().ok());
            authority.is_some_and(|(_, authority)| host == Some(authority))
        }
        (None, None) => true,
    }
}
