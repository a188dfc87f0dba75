//! The server behind a script: one request at a time, each checked against the next
//! expected one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use cli::logs::{Envelope, LogMessage};
use prost::Message;
use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::script::{Body, Exchange};

/// A listening controller.
pub(crate) struct Controller {
    pub(crate) url: String,
    stop: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl Controller {
    pub(crate) fn start(script: Vec<Exchange>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || serve(&listener, script, &stopped));
        Self { url, stop, thread }
    }

    /// What went wrong, if anything.
    pub(crate) fn finish(self) -> Result<(), String> {
        self.stop.send(()).unwrap();
        // Wakes the listener, which then sees that it is over.
        let address = self.url.trim_start_matches("http://");
        let _ = TcpStream::connect(address);
        self.thread.join().unwrap()
    }
}

fn serve(
    listener: &TcpListener,
    script: Vec<Exchange>,
    stopped: &mpsc::Receiver<()>,
) -> Result<(), String> {
    let mut script = script.into_iter();
    let mut wrong = Ok(());
    // Log streams stay open until the end.
    let mut streams = Vec::new();
    for stream in listener.incoming() {
        if stopped.try_recv().is_ok() {
            break;
        }
        let mut stream = stream.map_err(|e| e.to_string())?;
        let (ask, body, key) = read(&stream);
        let (status, answer) = match script.next() {
            Some(next) => {
                wrong = wrong.and(check(&next, &ask, &body));
                if next.status == 101 {
                    send_lines(&mut stream, &key, &next.lines);
                    streams.push(stream);
                    continue;
                }
                (next.status, next.answer)
            }
            None => {
                wrong = wrong.and(Err(format!("nothing more was expected, but {ask} {body}")));
                (500, Value::Null)
            }
        };
        write(&mut stream, status, &answer);
    }
    let left: Vec<String> = script.map(|e| e.ask).collect();
    match left.is_empty() {
        true => wrong,
        false => wrong.and(Err(format!("never asked: {left:?}"))),
    }
}

fn check(wanted: &Exchange, ask: &str, body: &str) -> Result<(), String> {
    let plain = percent_decoded(ask);
    if plain != wanted.ask {
        return Err(format!("expected {}, got {plain}", wanted.ask));
    }
    let good = match &wanted.body {
        Body::Nothing => body.is_empty() || body == "null",
        Body::Json(wanted) => serde_json::from_str::<Value>(body).is_ok_and(|body| body == *wanted),
        Body::Form(parts) => parts.iter().all(|part| body.contains(part)),
    };
    match good {
        true => Ok(()),
        false => Err(format!("{plain}: wrong body {body}")),
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// `METHOD PATH`, the body, and the key of a websocket.
fn read(stream: &TcpStream) -> (String, String, String) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let ask = line.rsplit_once(' ').map_or("", |(ask, _)| ask).to_owned();
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "sec-websocket-key" => key = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (ask, String::from_utf8_lossy(&body).into_owned(), key)
}

/// Accepts the websocket and sends one binary frame per line.
fn send_lines(stream: &mut TcpStream, key: &str, lines: &[LogMessage]) {
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 X\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for line in lines {
        let envelope = Envelope {
            event_type: 5,
            log_message: Some(line.clone()),
        };
        let bytes = envelope.encode_to_vec();
        let short = u8::try_from(bytes.len()).unwrap();
        assert!(short < 126, "a longer frame needs a longer header");
        stream.write_all(&[0x82, short]).unwrap();
        stream.write_all(&bytes).unwrap();
    }
}

fn write(stream: &mut TcpStream, status: u16, answer: &Value) {
    let body = match answer {
        Value::Null => String::new(),
        answer => answer.to_string(),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes());
}
