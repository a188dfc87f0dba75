//! The bytes below the protocol: a socket, plain or with TLS over it, without ever waiting.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::limits::TLS_BUFFER;

/// One client's socket.
pub(crate) struct Transport {
    tcp: TcpStream,
    tls: RefCell<Option<Box<ServerConnection>>>,
}

/// The socket as blocking code sees it: it answers `WouldBlock` in place of waiting.
struct NonBlocking<'a>(&'a TcpStream);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for NonBlocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            tls: RefCell::default(),
        }
    }

    /// Ready when there may be something to read, an end or an error included.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_read_ready(context).map(drop)
    }

    /// Ready when the socket may take something, or an error.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_write_ready(context).map(drop)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp.writable().await
    }

    /// The first byte the client sent, left where it is; `None` when it went. Like all reading
    /// here it never waits: `WouldBlock` when nothing has come.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut space = [0];
        let mut byte = ReadBuf::new(&mut space);
        let peek = poll_fn(|context| match self.tcp.poll_peek(context, &mut byte) {
            Poll::Pending => Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
            Poll::Ready(outcome) => Poll::Ready(outcome),
        });
        let count = peek.await?;
        Ok((count > 0).then_some(space[0]))
    }

    /// From here on the client speaks TLS.
    pub(crate) fn secure(&self, config: Arc<ServerConfig>) -> io::Result<()> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(TLS_BUFFER));
        *self.tls.borrow_mut() = Some(Box::new(connection));
        Ok(())
    }

    /// The agreed TLS version and cipher, once there is a TLS connection.
    pub(crate) fn tls_facts(&self) -> Option<(String, String)> {
        let tls = self.tls.borrow();
        let connection = tls.as_deref()?;
        let version = format!("{:?}", connection.protocol_version()?);
        let suite = connection.negotiated_cipher_suite()?.suite();
        let version = version.trim_start_matches("TLSv").replace('_', ".");
        Some((version, format!("{suite:?}")))
    }

    /// The client's verified certificate in DER.
    pub(crate) fn certificate(&self) -> Option<Vec<u8>> {
        let tls = self.tls.borrow();
        let chain = tls.as_deref()?.peer_certificates()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    /// True where TLS runs over the socket.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.borrow().is_some()
    }

    /// True while a TLS handshake is not finished.
    pub(crate) fn is_handshaking(&self) -> bool {
        let tls = self.tls.borrow();
        tls.as_deref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Reads what the client said. `WouldBlock` when there is nothing (complete) yet.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tls.borrow_mut().as_deref_mut() {
            None => self.read_plain(buffer),
            Some(tls) => self.read_tls(tls, buffer),
        }
    }

    /// A short read has emptied the socket. Telling the runtime so saves the read that finds nothing.
    fn read_plain(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut taken = None;
        let outcome = self.tcp.try_io(Interest::READABLE, || {
            let count = rustix::io::retry_on_intr(|| rustix::io::read(&self.tcp, &mut *buffer))?;
            taken = Some(count);
            match (1..buffer.len()).contains(&count) {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => Ok(()),
            }
        });
        taken.map_or_else(|| outcome.map(|()| 0), Ok)
    }

    fn read_tls(&self, tls: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            if tls.read_tls(&mut NonBlocking(&self.tcp))? == 0 {
                return Ok(0);
            }
            let outcome = tls.process_new_packets();
            // Handshake answers, or the alert that says why there will be none.
            self.push(tls)?;
            outcome.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Takes some of the bytes. `WouldBlock` when the socket has not taken the earlier ones.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.tls.borrow_mut().as_deref_mut() {
            None => self.tcp.try_write(bytes),
            Some(tls) => self.write_tls(tls, bytes),
        }
    }

    fn write_tls(&self, tls: &mut ServerConnection, bytes: &[u8]) -> io::Result<usize> {
        self.push(tls)?;
        if tls.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = tls.writer().write(bytes)?;
        self.push(tls)?;
        match taken {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// True while encrypted bytes wait for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        let tls = self.tls.borrow();
        tls.as_deref().is_some_and(|tls| tls.wants_write())
    }

    /// Sends encrypted bytes that an earlier write left behind.
    pub(crate) fn push_pending(&self) -> io::Result<()> {
        match self.tls.borrow_mut().as_deref_mut() {
            None => Ok(()),
            Some(tls) => self.push(tls),
        }
    }

    fn push(&self, tls: &mut ServerConnection) -> io::Result<()> {
        while tls.wants_write() {
            match tls.write_tls(&mut NonBlocking(&self.tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says goodbye in TLS, so that the client can tell an end from a cut.
    pub(crate) fn say_goodbye(&self) {
        if let Some(tls) = self.tls.borrow_mut().as_deref_mut() {
            tls.send_close_notify();
            // The connection ends in any case.
            let _ = self.push(tls);
        }
    }
}
