//! A driver that asks at a fixed rate, whatever the answers take: what waits counts as waiting.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::process::pinned_self;

const CONNECTIONS: usize = 50;
/// Requests become due in steps of this length.
const STEP: Duration = Duration::from_millis(1);
const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nHost: app-4711.example.com\r\n\r\n";
/// Body of an answer; its end is the end of the answer.
const BODY: usize = 1024;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Drives a proxy from core 1.
pub(crate) fn measure(port: u16, rate: u64, seconds: u64) -> Latency {
    let words = [port.into(), rate, seconds].map(|number: u64| number.to_string());
    let mut driver = pinned_self(1, &["--steady", &words[0], &words[1], &words[2]]);
    let line = driver.first_line();
    let numbers: Vec<f64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
    Latency {
        p50: numbers[0],
        p99: numbers[1],
    }
}

struct Connection {
    stream: TcpStream,
    due: Instant,
    got: Vec<u8>,
}

impl Connection {
    /// The answer is complete.
    fn is_done(&mut self, room: &mut [u8]) -> bool {
        while let Ok(count @ 1..) = self.stream.read(room) {
            self.got.extend_from_slice(&room[..count]);
        }
        let head = self.got.windows(4).position(|four| four == b"\r\n\r\n");
        head.is_some_and(|head| self.got.len() >= head + 4 + BODY)
    }

    fn ask(&mut self, due: Instant) {
        self.due = due;
        self.got.clear();
        assert_eq!(self.stream.write(REQUEST).unwrap(), REQUEST.len());
    }
}

/// In the driver's process: asks, and prints p50 and p99.
pub(crate) fn drive(port: u16, rate: u64, seconds: u64) {
    let mut poll = Poll::new().unwrap();
    let mut all: Vec<Connection> = (0..CONNECTIONS)
        .map(|at| connect(&poll, port, at))
        .collect();
    let mut idle: Vec<usize> = (0..CONNECTIONS).collect();
    let (mut due, mut latencies) = (VecDeque::new(), Vec::new());
    let (mut events, mut room) = (Events::with_capacity(256), vec![0; 16 * 1024]);
    let (began, mut asked) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        poll.poll(&mut events, Some(STEP)).unwrap();
        let now = Instant::now();
        for event in &events {
            let at = event.token().0;
            if event.is_readable() && all[at].is_done(&mut room) {
                latencies.push(now.duration_since(all[at].due));
                all[at].got.clear();
                idle.push(at);
            }
        }
        let wanted = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        due.extend((asked..wanted).map(|_| now));
        asked = wanted.max(asked);
        while !due.is_empty()
            && let Some(at) = idle.pop()
        {
            all[at].ask(due.pop_front().unwrap());
        }
    }
    latencies.sort();
    let part = |share: usize| latencies[latencies.len() * share / 100].as_secs_f64() * 1000.0;
    println!("{} {}", part(50), part(99));
}

fn connect(poll: &Poll, port: u16, at: usize) -> Connection {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut stream = TcpStream::from_std(stream);
    let registry = poll.registry();
    registry
        .register(&mut stream, Token(at), Interest::READABLE)
        .unwrap();
    Connection {
        stream,
        due: Instant::now(),
        got: Vec::new(),
    }
}
