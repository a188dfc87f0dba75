//! A websocket through the router, down to the frames.

use std::io::{Read, Write};
use std::net::TcpStream;

use tests::binaries::{PATIENCE, Platform, debian12, may_run};

/// Opens a websocket on an app; panics with the answer unless it is a 101.
fn upgraded(platform: &Platform, app: &str, path: &str) -> TcpStream {
    let settings = platform.settings();
    let router = (
        "127.0.0.1",
        settings["router_port"].as_u64().unwrap() as u16,
    );
    let mut stream = TcpStream::connect(router).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = format!("{app}.{}", settings["domain"].as_str().unwrap());
    // The key of RFC 6455's own example, whose answer is known.
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream
}

/// The head of an answer, byte by byte, so that nothing of what follows is taken.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Sends a masked text frame and reads one unmasked frame.
fn echo(stream: &mut TcpStream, text: &str) -> String {
    let mask = [7, 11, 13, 17];
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
    frame.extend(mask);
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    stream.write_all(&frame).unwrap();
    let mut start = [0; 2];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(start[0], 0x81, "one whole text frame");
    let mut body = vec![0; usize::from(start[1])];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn express_from_npm_answers_and_echoes_on_a_websocket() {
    let Some(stacks) = may_run().then(debian12).flatten() else {
        return;
    };
    let platform = Platform::up(&["--stacks", &stacks.display().to_string()]);
    let app = platform.app("express");
    app.push("express", &["-s", "debian12", "-m", "256M"])
        .well();
    assert_eq!(app.body("/").trim(), "express");
    let mut socket = upgraded(&platform, "express", "/echo");
    for text in ["iron", "from", "ore"] {
        assert_eq!(echo(&mut socket, text), text);
    }
}
