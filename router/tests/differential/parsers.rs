//! Backend parsers of three kinds: hyper's (Rust), node's (C, generated) and gunicorn's (Python).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::corpus_case::Case;

/// What a parser makes of a stream: method, target and body of each request, or that it gave up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Seen {
    requests: Vec<(String, String, String)>,
    refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parser {
    Hyper,
    Node,
    Gunicorn,
}

/// All three; none when the tools for one of them are missing.
pub(crate) fn all() -> Option<[Parser; 3]> {
    let node = Command::new("node").arg("--version").output().is_ok();
    (node && gunicorn().is_some()).then_some([Parser::Hyper, Parser::Node, Parser::Gunicorn])
}

/// What a parser cannot read for reasons of its own: part of the case's text, and why.
const UNREADABLE: [(Parser, &str, &str); 2] = [
    (
        Parser::Node,
        "BASELINE-CONTROL",
        "it has a list of methods, and refuses others",
    ),
    (
        Parser::Node,
        "Upgrade: websocket\\r\\n",
        "it reads no further than a request for an upgrade",
    ),
];

/// Is it known that this parser cannot read this case?
pub(crate) fn explained(parser: Parser, case: &Case) -> bool {
    let mut known = UNREADABLE.iter().filter(|(which, _, _)| *which == parser);
    known.any(|(_, part, _)| case.text.contains(part))
}

impl Parser {
    /// Reads each stream by itself.
    pub(crate) async fn read(self, streams: &[Vec<u8>]) -> Vec<Seen> {
        match self {
            Self::Hyper => {
                let mut seen = Vec::new();
                for stream in streams {
                    seen.push(hyper(stream).await);
                }
                seen
            }
            Self::Node => script(&mut Command::new("node"), "node_parser.mjs", streams),
            Self::Gunicorn => {
                let python = gunicorn().expect("it was there a moment ago");
                script(&mut Command::new(python), "gunicorn_parser.py", streams)
            }
        }
    }
}

/// Runs a script: hexadecimal lines in, JSON lines out.
fn script(command: &mut Command, name: &str, streams: &[Vec<u8>]) -> Vec<Seen> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/differential")
        .join(name);
    let mut child = command
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let hex = |stream: &Vec<u8>| {
        stream
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let lines: String = streams.iter().map(|stream| hex(stream) + "\n").collect();
    let mut input = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(output.status.success(), "{name} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let seen: Vec<Seen> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(seen.len(), streams.len(), "{name}");
    seen
}

/// The library's server, fed from memory.
async fn hyper(stream: &[u8]) -> Seen {
    let requests = Mutex::new(Vec::new());
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(stream).await.unwrap();
    client.shutdown().await.unwrap();
    let service = service_fn(async |request: hyper::Request<Incoming>| {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        let seen = (head.method.to_string(), head.uri.to_string(), body);
        requests.lock().unwrap().push(seen);
        Ok::<_, hyper::Error>(hyper::Response::new(Empty::<Bytes>::new()))
    });
    let mut builder = Builder::new();
    builder
        .half_close(true)
        .max_buf_size(1 << 20)
        .max_headers(1000);
    let mut nowhere = tokio::io::sink();
    let serving = builder.serve_connection(TokioIo::new(server), service);
    let (served, _) = tokio::join!(serving, tokio::io::copy(&mut client, &mut nowhere));
    Seen {
        refused: served.is_err(),
        requests: requests.into_inner().unwrap(),
    }
}

/// A Python with gunicorn, made once and kept beside the build.
fn gunicorn() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gunicorn-venv");
    let python = venv.join("bin/python");
    let has = |python: &Path| {
        let check = Command::new(python)
            .args(["-c", "import gunicorn.http.parser"])
            .stderr(Stdio::null())
            .status();
        check.is_ok_and(|status| status.success())
    };
    if !has(&python) {
        let made = Command::new("/usr/bin/python3")
            .args(["-m", "venv"])
            .arg(&venv)
            .status()
            .ok()?;
        let pip = Command::new(venv.join("bin/pip"))
            .args(["install", "--quiet", "gunicorn==23.0.0"])
            .status()
            .ok()?;
        if !made.success() || !pip.success() {
            return None;
        }
    }
    has(&python).then_some(python)
}
