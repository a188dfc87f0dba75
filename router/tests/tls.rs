//! TLS: who gets which certificate, and what apps learn about it.
#![allow(clippy::unwrap_used)]

mod common;

use common::tls::{Authority, certificate, connect, connector, edge};
use common::{Answer, Instance, within};
use router::tls::ClientCertificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

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
