//! A socket, what is known of its readiness, and what waits to be written to it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

/// Room kept for a connection that has written everything: none, so that idle ones cost nothing.
const KEEP: usize = 0;

/// Kinds of sockets: the network's, and the inner end of a TLS connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The other side will send nothing more.
    End,
}

/// One side of an exchange. Readiness is edge-triggered: it is remembered until a read or write uses it up.
pub(super) struct Wire {
    stream: Stream,
    readable: bool,
    writable: bool,
    /// The other side hung up or closed its half: there may be bytes left, then comes the end.
    ended: bool,
    out: Vec<u8>,
    sent: usize,
    written: u64,
}

impl Wire {
    /// Ready to be tried: a fresh socket usually takes and sometimes has something.
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            readable: true,
            writable: true,
            ended: false,
            out: Vec::new(),
            sent: 0,
            written: 0,
        }
    }

    /// One that is still being dialled.
    pub(super) fn dialled(stream: TcpStream) -> Self {
        Self {
            readable: false,
            writable: false,
            ..Self::new(Stream::Tcp(stream))
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut self.stream {
            Stream::Tcp(stream) => registry.register(stream, token, both),
            Stream::Unix(stream) => registry.register(stream, token, both),
        }
    }

    /// Remembers what an event says.
    pub(super) fn note(&mut self, event: &mio::event::Event) {
        let ended = event.is_read_closed() || event.is_error();
        self.ended |= ended;
        self.readable |= event.is_readable() || ended;
        self.writable |= event.is_writable() || event.is_error();
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn writable(&self) -> bool {
        self.writable
    }

    /// Why a dialled connection did not come about, if it did not.
    pub(super) fn dial_error(&self) -> Option<io::Error> {
        let Stream::Tcp(stream) = &self.stream else {
            return None;
        };
        match stream.take_error() {
            Ok(None) => stream.peer_addr().err(),
            Ok(Some(error)) | Err(error) => Some(error),
        }
    }

    /// Reads what there is.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<Got> {
        if !self.readable {
            return Ok(Got::Nothing);
        }
        let outcome = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(room),
            Stream::Unix(stream) => stream.read(room),
        };
        match outcome {
            Ok(0) => Ok(Got::End),
            Ok(count) => {
                // A short read means that nothing is left, unless the end itself is.
                self.readable = count == room.len() || self.ended;
                Ok(Got::Bytes(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(Got::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read(room),
            Err(error) => Err(error),
        }
    }

    /// Asks the kernel: the other side has neither hung up nor said anything.
    pub(super) fn is_quiet(&self) -> bool {
        let Stream::Tcp(stream) = &self.stream else {
            return false;
        };
        let peeked = stream.peek(&mut [0; 1]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Bytes that the other side has not taken yet.
    pub(super) fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Bytes it has taken since the last [`Wire::count_anew`].
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Another request begins.
    pub(super) fn count_anew(&mut self) {
        self.written = 0;
    }

    /// Lets bytes wait for the next write.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes the parts one after the other; what is not taken waits.
    pub(super) fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.pending() > 0 || !self.writable {
            parts.iter().for_each(|part| self.queue(part));
            return self.flush().map(drop);
        }
        let taken = self.push(parts)?;
        let mut skip = taken;
        for part in parts {
            let here = skip.min(part.len());
            self.queue(&part[here..]);
            skip -= here;
        }
        Ok(())
    }

    /// One write of the parts; how many bytes were taken.
    fn push(&mut self, parts: &[&[u8]]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); 4];
        let mut count = 0;
        let mut total = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            slices[count] = IoSlice::new(part);
            total += part.len();
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        let outcome = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_vectored(&slices[..count]),
            Stream::Unix(stream) => stream.write_vectored(&slices[..count]),
        };
        match outcome {
            Ok(taken) => {
                self.writable = taken == total;
                self.written += taken as u64;
                Ok(taken)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.push(parts),
            Err(error) => Err(error),
        }
    }

    /// Writes what waits; true if some of it was taken.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        if self.pending() == 0 || !self.writable {
            return Ok(false);
        }
        let out = std::mem::take(&mut self.out);
        let taken = self.push(&[&out[self.sent..]]);
        self.out = out;
        let taken = taken?;
        self.sent += taken;
        if self.pending() == 0 {
            self.forget_pending();
        }
        Ok(taken > 0)
    }

    /// Nothing waits any more.
    pub(super) fn forget_pending(&mut self) {
        self.sent = 0;
        self.out.clear();
        self.out.shrink_to(KEEP);
    }

    /// Says that nothing more will be written.
    pub(super) fn finish(&mut self) {
        // Whoever is gone already need not be told.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}
