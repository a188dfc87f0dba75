//! A small static file server for the staticfile buildpack: ranges, conditional
//! requests, `index.html`, optional redirect to https. One thread.

use std::convert::Infallible;
use std::path::PathBuf;

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};
use tower_http::services::ServeDir;

/// What to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of the files.
    pub root: PathBuf,
    /// Redirect requests that a router marked as plain http.
    pub force_https: bool,
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Serves until `stop`, then finishes what was asked before.
pub async fn serve(listener: TcpListener, options: Options, stop: impl Future<Output = ()>) {
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: others must finish first.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let options = options.clone();
        let service = service_fn(move |request| answer(options.clone(), request));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::spawn(open.watch(connection));
    }
    drop(listener);
    open.shutdown().await;
}

async fn answer(
    options: Options,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if options.force_https && is_plain(&request) {
        return Ok(redirect(&request));
    }
    let served = ServeDir::new(&options.root).oneshot(request).await?;
    if served.status() == StatusCode::NOT_FOUND {
        return Ok(not_found(&options).await);
    }
    Ok(served.map(|body| body.boxed_unsync()))
}

fn is_plain(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get("x-forwarded-proto")
        .is_some_and(|v| v.as_bytes() == b"http")
}

fn redirect(request: &Request<Incoming>) -> Response<Body> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or_default();
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let mut response = text(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(value) = format!("https://{host}{path}").parse() {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// The site's own `404.html`, else a line.
async fn not_found(options: &Options) -> Response<Body> {
    match tokio::fs::read_to_string(options.root.join("404.html")).await {
        Ok(page) => {
            let mut response = text(StatusCode::NOT_FOUND, &page);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("text/html"),
            );
            response
        }
        Err(_) => text(
            StatusCode::NOT_FOUND,
            "404 Not Found: this site has no such file\n",
        ),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_owned()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
