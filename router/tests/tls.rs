//! TLS and HTTP/2: who gets which certificate, what apps learn about it, and that the rules are the same there.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Answer, Edge, Instance, within};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use router::Config;
use router::tls::{CertificateFiles, ClientCertificates, TlsConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority and the directory of what it signed.
struct Authority {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    /// Signs a certificate and writes it with its key.
    fn sign(&self, file: &str, name: &str) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let cert_file = self.dir.path().join(format!("{file}.pem"));
        let key_file = self.dir.path().join(format!("{file}.key"));
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        CertificateFiles {
            cert_file,
            key_file,
        }
    }

    fn tls(&self, certificates: Vec<CertificateFiles>, clients: ClientCertificates) -> TlsConfig {
        TlsConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            certificates,
            client_certificates: clients,
            client_ca_file: Some(self.dir.path().join("ca.pem")),
        }
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// A client that believes the authority.
fn connector(
    authority: &Authority,
    shows: Option<&CertificateFiles>,
    protocol: &[u8],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let key = PrivateKeyDer::from_pem_file(&files.key_file).unwrap();
            builder
                .with_client_auth_cert(vec![certificate(&files.cert_file)], key)
                .unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn edge(tls: TlsConfig) -> Edge {
    Edge::start_with(|config| Config {
        tls: Some(tls),
        ..config
    })
    .await
}

async fn connect(
    edge: &Edge,
    connector: &TlsConnector,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(edge.router.tls_addr().unwrap()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, stream).await
}

async fn get(stream: &mut TlsStream<TcpStream>, host: &str, headers: &str) -> Answer {
    let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let _ = within("an answer", stream.read_to_end(&mut raw)).await;
    Answer::parse(&raw)
}

#[tokio::test]
async fn apps_learn_that_it_was_https_and_what_port() {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let edge = edge(authority.tls(vec![files], ClientCertificates::None)).await;
    let app = Instance::echoing_heads().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let connector = connector(&authority, None, b"http/1.1");
    let mut stream = connect(&edge, &connector, "a.example.com").await.unwrap();
    let answer = get(&mut stream, "a.example.com", "").await;
    let port = edge.router.tls_addr().unwrap().port();
    for line in [
        "X-Forwarded-Proto: https".to_owned(),
        format!("X-Forwarded-Port: {port}"),
    ] {
        assert!(answer.body.contains(&line), "{line} in {}", answer.body);
    }
}

#[tokio::test]
async fn the_name_chooses_the_certificate_and_a_new_file_is_used_without_a_restart() {
    let authority = Authority::new();
    let first = authority.sign("first", "*.example.com");
    let second = authority.sign("second", "b.example.org");
    let tls = authority.tls(
        vec![first.clone(), second.clone()],
        ClientCertificates::None,
    );
    let edge = edge(tls).await;
    let connector = connector(&authority, None, b"http/1.1");
    let shown = async |name: &str| {
        let stream = connect(&edge, &connector, name).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(
        shown("any.example.com").await,
        certificate(&first.cert_file)
    );
    let old = certificate(&second.cert_file);
    assert_eq!(shown("b.example.org").await, old);
    authority.sign("second", "b.example.org");
    within("the new certificate", async {
        while shown("b.example.org").await == old {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(shown("b.example.org").await, certificate(&second.cert_file));
    // Half a certificate is worse than the old one.
    std::fs::write(&second.cert_file, "no certificate").unwrap();
    assert_eq!(
        shown("any.example.com").await,
        certificate(&first.cert_file)
    );
}

#[tokio::test]
async fn a_clients_certificate_goes_to_the_app_and_cannot_be_made_up() {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let client = authority.sign("client", "somebody");
    let edge = edge(authority.tls(vec![files], ClientCertificates::Request)).await;
    let app = Instance::echoing_heads().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let lie = "X-Forwarded-Client-Cert: made-up\r\n";
    for shows in [None, Some(&client)] {
        let connector = connector(&authority, shows, b"http/1.1");
        let mut stream = connect(&edge, &connector, "a.example.com").await.unwrap();
        let sent = get(&mut stream, "a.example.com", lie).await.body;
        let lines: Vec<&str> = sent
            .lines()
            .filter_map(|line| line.strip_prefix("X-Forwarded-Client-Cert: "))
            .collect();
        let expected = shows.map(|files| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(certificate(&files.cert_file))
        });
        assert_eq!(
            lines,
            expected.iter().map(String::as_str).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_client_without_the_required_certificate_gets_nowhere() {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let edge = edge(authority.tls(vec![files], ClientCertificates::Require)).await;
    let connector = connector(&authority, None, b"http/1.1");
    // In TLS 1.3 the client learns of it with its first read.
    let refused = match connect(&edge, &connector, "a.example.com").await {
        Err(_) => true,
        Ok(mut stream) => stream.read(&mut [0; 1]).await.is_err(),
    };
    assert!(refused);
}

#[tokio::test]
async fn http2_requests_meet_the_same_rules() {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let edge = edge(authority.tls(vec![files], ClientCertificates::None)).await;
    let app = Instance::echoing_heads().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let connector = connector(&authority, None, b"h2");
    let stream = connect(&edge, &connector, "a.example.com").await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let ask = async |host: &str, path: &str| {
        let request = hyper::Request::get(format!("https://{host}{path}"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-forwarded-proto", "http")
            .body(Full::new(Bytes::new()))
            .unwrap();
        let response = within("an answer", sender.clone().send_request(request))
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let (status, sent) = ask("a.example.com", "/p?q").await;
    assert_eq!(status, 200);
    assert!(sent.starts_with("GET /p?q HTTP/1.1\r\n"), "{sent}");
    let lower = sent.to_ascii_lowercase();
    for line in [
        "host: a.example.com",
        "cookie: a=1; b=2",
        "x-vcap-request-id: ",
    ] {
        assert!(lower.contains(line), "{line} in {sent}");
    }
    assert_eq!(ask("nobody.example.com", "/").await.0, 404);
    // A target that HTTP/2 lets pass is judged as in HTTP/1.
    assert_eq!(ask("a.example.com", "/%00").await.0, 400);
    let many = (0..100).map(|_| ask("a.example.com", "/"));
    let mut answered = Vec::new();
    for asking in many {
        answered.push(asking.await.0);
    }
    assert!(answered.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn http2_bodies_stream_both_ways() {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let edge = edge(authority.tls(vec![files], ClientCertificates::None)).await;
    let app = Instance::serving(|mut stream| async move {
        let sent = common::read_until(&mut stream, |text| text.ends_with("0\r\n\r\n")).await;
        assert!(sent.contains("part 1") && sent.contains("part 2"), "{sent}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let connector = connector(&authority, None, b"h2");
    let stream = connect(&edge, &connector, "a.example.com").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let (parts, body) = tokio::sync::mpsc::channel::<&'static str>(1);
    let frames = futures_util::stream::unfold(body, async |mut body| {
        let part = body.recv().await?;
        let frame = hyper::body::Frame::data(Bytes::from_static(part.as_bytes()));
        Some((Ok::<_, std::convert::Infallible>(frame), body))
    });
    let request = hyper::Request::post("https://a.example.com/");
    let request = request
        .body(http_body_util::StreamBody::new(Box::pin(frames)))
        .unwrap();
    let sending = async {
        parts.send("part 1").await.unwrap();
        parts.send("part 2").await.unwrap();
        drop(parts);
    };
    let both = async { tokio::join!(sender.send_request(request), sending) };
    let (response, ()) = within("an answer", both).await;
    let body = response
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(body, "ok");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame as RFC 9113 §4.1 has it.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET https://a.example.com/` in HPACK: three entries of the static table, one literal.
fn get_block() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x41, 13];
    block.extend(b"a.example.com");
    block
}

/// An attack that goes on until the connection is closed; fails if that never happens.
async fn is_cut_off(attack: impl Fn(u32) -> Vec<u8>) {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let edge = edge(authority.tls(vec![files], ClientCertificates::None)).await;
    let app = Instance::serving(|mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let h2 = connector(&authority, None, b"h2");
    let stream = connect(&edge, &h2, "a.example.com").await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let attacking = async {
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        write.write_all(&hello).await?;
        for round in 0..1_000_000 {
            write.write_all(&attack(round)).await?;
        }
        panic!("a million rounds, and still connected");
    };
    let listening = async {
        let mut room = vec![0; 4096];
        while let Ok(1..) = read.read(&mut room).await {}
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let ended = async {
        tokio::select! {
            ended = attacking => ended,
            ended = listening => ended,
        }
    };
    assert!(within("the attacker to be cut off", ended).await.is_err());
    assert_eq!(
        edge.get("nobody.example.com", "/").await.status,
        404,
        "others are served"
    );
}

#[tokio::test]
async fn taking_requests_back_as_fast_as_they_are_made_is_cut_off() {
    is_cut_off(|round| {
        let stream = 2 * round + 1;
        let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_block());
        [ask, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
}

#[tokio::test]
async fn a_head_that_is_continued_for_ever_is_cut_off() {
    is_cut_off(|round| match round {
        0 => frame(HEADERS, END_STREAM, 1, &get_block()),
        // A literal header, never indexed: `x: yyy…`.
        _ => {
            let mut block = vec![0x10, 1, b'x', 100];
            block.extend([b'y'; 100]);
            frame(CONTINUATION, 0, 1, &block)
        }
    })
    .await;
}

#[tokio::test]
async fn a_small_head_that_unpacks_into_a_large_one_is_refused() {
    is_cut_off(|round| {
        // One entry of 4,000 bytes into the dynamic table, then named over and over.
        let mut block = get_block();
        if round == 0 {
            block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
            block.extend([b'y'; 4000]);
        }
        block.extend(std::iter::repeat_n(0xbe_u8, 8000));
        frame(HEADERS, END_STREAM | END_HEADERS, 2 * round + 1, &block)
    })
    .await;
}
