//! A raw connection: formatted once, then only bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};

/// Nothing in this driver waits longer for a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who a connection logs in as: see the configuration of the servers.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Publisher,
    Subscriber,
}

/// A connection past its greeting.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
}

impl Wire {
    /// Connects and logs in, with headers and no-responders on.
    pub(crate) fn connect(addr: SocketAddr, who: Who) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream };
        let (user, pass) = match who {
            Who::Publisher => ("pub", "p-secret"),
            Who::Subscriber => ("sub", "s-secret"),
        };
        wire.settle(&format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"user\":{user:?},\"pass\":{pass:?}}}\r\n"
        ))?;
        Ok(wire)
    }

    /// Sends and returns once the server has carried everything out, without any complaint.
    pub(crate) fn settle(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.write_all(b"PING\r\n")?;
        self.await_pong()
    }

    pub(crate) fn await_pong(&mut self) -> Result<()> {
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while !said.ends_with(b"PONG\r\n") {
            match self.stream.read(&mut buffer)? {
                0 => bail!("the server closed: {}", String::from_utf8_lossy(&said)),
                count => said.extend_from_slice(&buffer[..count]),
            }
            // nats-server measures the round trip on its own.
            if said.ends_with(b"\r\nPING\r\n") || said == b"PING\r\n" {
                self.stream.write_all(b"PONG\r\n")?;
            }
        }
        match String::from_utf8_lossy(&said).contains("-ERR") {
            true => bail!("the server complained: {}", String::from_utf8_lossy(&said)),
            false => Ok(()),
        }
    }

    /// Reads exactly `expected` bytes or more; returns their number.
    pub(crate) fn read_at_least(&mut self, expected: usize, buffer: &mut [u8]) -> Result<usize> {
        let mut have = 0;
        while have < expected + ping_bytes(&buffer[..have]) {
            match self.stream.read(&mut buffer[have..])? {
                0 => bail!("the server closed in the middle of a message"),
                count => have += count,
            }
        }
        Ok(have)
    }
}

/// Bytes of pings among messages: both servers measure the round trip when a client is two
/// seconds old. No message of this driver has a capital P.
pub(crate) fn ping_bytes(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'P', bytes).count() * b"PING\r\n".len()
}
