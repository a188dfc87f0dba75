//! Up to three attempts to deliver a request. Sent again is only what was never
//! sent, or what may be sent twice: an idempotent request without a body.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, HeaderName, HeaderValue, SET_COOKIE, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{Exchange, Inbound, Proxy};
use crate::body::{RequestBody, ResponseBody, Source};
use crate::rewrite;
use crate::table::{Choice, Endpoint};
use crate::tunnel;
use crate::upstream::Connection;
use crate::verdict::Verdict;

/// Endpoints tried per request, as the original.
const ATTEMPTS: usize = 3;

const APP_ID: HeaderName = HeaderName::from_static("x-cf-applicationid");
const INSTANCE_ID: HeaderName = HeaderName::from_static("x-cf-instanceid");

/// An answer and the connection it comes on.
pub(crate) struct Answer {
    response: Response<Incoming>,
    connection: Connection,
    choice: Choice,
    inbound: Inbound,
}

/// What became of one attempt.
enum Failure {
    /// Nothing reached the instance; the body (if any) is still ours.
    NotSent,
    /// The connection broke after bytes had gone out.
    Broken,
}

pub(crate) async fn deliver(
    proxy: &Arc<Proxy>,
    mut inbound: Inbound,
    exchange: &mut Exchange,
) -> Result<Answer, Verdict> {
    let mut tried = Vec::new();
    let mut desperate = false;
    proxy.retries.earn();
    while tried.len() < ATTEMPTS && (tried.is_empty() || proxy.retries.spend()) {
        let choice = match proxy.choose(&inbound, &tried) {
            Ok(choice) => choice,
            Err(_) if !tried.is_empty() => break,
            Err(verdict) => return Err(verdict),
        };
        if !exchange.goes_to(&choice.endpoint) {
            return Err(Verdict::Overloaded);
        }
        desperate |= tried.is_empty() && choice.desperate;
        tried.push(choice.endpoint.serial);
        match try_endpoint(proxy, &mut inbound, &choice.endpoint).await {
            Ok((response, connection)) => {
                return Ok(Answer {
                    response,
                    connection,
                    choice,
                    inbound,
                });
            }
            Err(Failure::NotSent) => proxy.table().mark_failed(&choice.endpoint, Instant::now()),
            // It answered the dial, so it is not ejected; another one gets this request.
            Err(Failure::Broken) if repeatable(&inbound) => {}
            Err(Failure::Broken) => return Err(Verdict::EndpointFailure),
        }
    }
    // All were known to be unreachable before we asked: the route is down, not just one request unlucky.
    Err(if desperate {
        Verdict::NoEndpoints(proxy.retry_after)
    } else {
        Verdict::EndpointFailure
    })
}

/// One endpoint: first over an idle connection, and over a new one if the idle one had died.
async fn try_endpoint(
    proxy: &Arc<Proxy>,
    inbound: &mut Inbound,
    endpoint: &Arc<Endpoint>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let mut fresh = inbound.upgrade.is_some();
    loop {
        let mut connection = proxy.upstream.connect(endpoint, fresh).await.map_err(|error| {
            tracing::info!(address = %endpoint.address, %error, "an instance cannot be reached");
            Failure::NotSent
        })?;
        match send(&mut connection, inbound, endpoint).await {
            Ok(response) => return Ok((response, connection)),
            Err(failure) if fresh || !connection.reused => return Err(failure),
            Err(Failure::Broken) if !repeatable(inbound) => return Err(Failure::Broken),
            Err(_) => fresh = true,
        }
    }
}

async fn send(
    connection: &mut Connection,
    inbound: &mut Inbound,
    endpoint: &Endpoint,
) -> Result<Response<Incoming>, Failure> {
    let request = outbound(inbound, endpoint);
    match connection.sender.try_send_request(request).await {
        Ok(response) => Ok(response),
        Err(mut error) => match error.take_message() {
            Some(unsent) => {
                if let RequestBody::Client(body, _) = unsent.into_body() {
                    inbound.body = Some(body);
                }
                Err(Failure::NotSent)
            }
            None => {
                tracing::info!(address = %endpoint.address, error = %error.error(), "an instance broke off");
                Err(Failure::Broken)
            }
        },
    }
}

/// The request as this endpoint sees it. Takes the body with it.
fn outbound(inbound: &mut Inbound, endpoint: &Endpoint) -> Request<RequestBody> {
    let mut head = inbound.head.clone();
    let set = |headers: &mut http::HeaderMap, name, value: &str| match HeaderValue::from_str(value)
    {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    };
    set(
        &mut head.headers,
        APP_ID,
        endpoint.app.as_deref().unwrap_or_default(),
    );
    set(&mut head.headers, INSTANCE_ID, endpoint.label());
    if let Some((protocol, _)) = &inbound.upgrade {
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, protocol.clone());
    }
    Request::from_parts(
        head,
        inbound.body.take().map_or(RequestBody::None, |body| {
            RequestBody::Client(body, inbound.progress.clone())
        }),
    )
}

/// May the request be sent again although the first copy may have arrived?
fn repeatable(inbound: &Inbound) -> bool {
    let method = &inbound.head.method;
    let idempotent = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
        Method::TRACE,
    ]
    .contains(method);
    idempotent && !inbound.has_body
}

impl Answer {
    pub(crate) fn into_response(
        self,
        proxy: &Arc<Proxy>,
        mut exchange: Exchange,
    ) -> Response<ResponseBody> {
        let Self {
            mut response,
            connection,
            choice,
            inbound,
        } = self;
        exchange.answered(response.status());
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let protocol = response.headers().get(UPGRADE).cloned();
        rewrite::remove_hop_by_hop(response.headers_mut());
        let cookie = rewrite::set_cookie(
            response.headers(),
            &inbound.session,
            &choice.endpoint,
            &choice.route,
            proxy.secure_cookies,
        );
        if let Some(cookie) = cookie {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
            .headers_mut()
            .insert("x-vcap-request-id", exchange.request_id());
        match inbound.upgrade {
            Some((_, client)) if switched => switch(proxy, response, protocol, client, exchange),
            // A 101 that nobody asked for has no meaning to the client.
            _ if switched => proxy.refuse(
                &Verdict::EndpointFailure,
                &inbound.head.headers,
                &inbound.host,
                exchange,
            ),
            _ => response.map(|body| {
                ResponseBody::new(Source::Instance(body), Some(exchange), Some(connection))
            }),
        }
    }
}

fn switch(
    proxy: &Arc<Proxy>,
    mut response: Response<Incoming>,
    protocol: Option<HeaderValue>,
    client: hyper::upgrade::OnUpgrade,
    exchange: Exchange,
) -> Response<ResponseBody> {
    let instance = hyper::upgrade::on(&mut response);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = protocol {
        response.headers_mut().insert(UPGRADE, protocol);
    }
    proxy.tunnels.spawn(tunnel::run(client, instance, exchange));
    let (head, _) = response.into_parts();
    Response::from_parts(head, ResponseBody::new(Source::Own(None), None, None))
}
