//! The cheapest instance there can be: one receive and one send per small answer.

use std::collections::HashMap;
use std::io::{Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

/// Answers `/1k` and `/100k` until it is killed; says its port on standard output.
pub(crate) fn serve() {
    let mut poll = Poll::new().unwrap();
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    poll.registry()
        .register(&mut listener, Token(0), Interest::READABLE)
        .unwrap();
    let (small, large) = (answer(1024), answer(100 * 1024));
    let (mut connections, mut next) = (HashMap::new(), 1);
    let mut events = Events::with_capacity(1024);
    let mut room = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == Token(0) {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).unwrap();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry()
                        .register(&mut stream, Token(next), both)
                        .unwrap();
                    let (head, out) = (Vec::new(), Vec::new());
                    connections.insert(
                        next,
                        Connection {
                            stream,
                            head,
                            out,
                            sent: 0,
                        },
                    );
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&event.token().0)
                && !connection.turn(&mut room, &small, &large)
            {
                connections.remove(&event.token().0);
            }
        }
    }
}

fn answer(size: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}

impl Connection {
    /// False once it is over.
    fn turn(&mut self, room: &mut [u8], small: &[u8], large: &[u8]) -> bool {
        loop {
            match self.stream.read(room) {
                Ok(0) => return false,
                Ok(count) => {
                    self.head.extend_from_slice(&room[..count]);
                    if self.head.ends_with(b"\r\n\r\n") {
                        let big = self.head.windows(6).take(64).any(|six| six == b"/100k ");
                        self.head.clear();
                        self.out.extend_from_slice(if big { large } else { small });
                    }
                    if count < room.len() {
                        return self.flush();
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return self.flush();
                }
                Err(_) => return false,
            }
        }
    }

    fn flush(&mut self) -> bool {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        (self.sent, self.out) = (0, std::mem::take(&mut self.out));
        self.out.clear();
        true
    }
}
