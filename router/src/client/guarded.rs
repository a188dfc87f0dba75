//! A client's socket as the HTTP library sees it: only bytes that passed the guard.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Conversation;
use super::stall::Stall;
use crate::guard::{Guard, Limits, Refusal, Refused};

/// Bytes taken from the socket at once where the guard has to look at them.
const LOOK: usize = 8 * 1024;
/// What a client may still send after its last message, or after a refusal, before we stop listening.
const SURPLUS: usize = 256 * 1024;
/// How long a refused client may take to read why.
const LINGER: Duration = Duration::from_secs(2);
/// What the library gets in place of a refused head. The proxy answers it without looking at it.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Where a refused message went wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Body,
}

/// The guard between a socket and the library.
pub(crate) struct Guarded {
    socket: TcpStream,
    guard: Guard,
    conversation: Arc<Conversation>,
    /// Came from the client and was not looked at yet: it waits for the outcome of an upgrade.
    raw: Vec<u8>,
    /// Passed, and not yet taken by the library; from `taken` on.
    passed: Vec<u8>,
    taken: usize,
    refused: Option<Place>,
    surplus: usize,
    reading: Stall,
    writing: Stall,
    lingering: Stall,
}

impl Guarded {
    pub(crate) fn new(
        socket: TcpStream,
        limits: Limits,
        body_idle: Duration,
        conversation: Arc<Conversation>,
    ) -> Self {
        Self {
            socket,
            guard: Guard::new(limits),
            conversation,
            raw: Vec::new(),
            passed: Vec::new(),
            taken: 0,
            refused: None,
            surplus: 0,
            reading: Stall::new(body_idle),
            writing: Stall::new(body_idle),
            lingering: Stall::new(LINGER),
        }
    }

    /// Hands over what has passed; false when there is nothing.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let waiting = &self.passed[self.taken..];
        let count = waiting.len().min(buf.remaining());
        buf.put_slice(&waiting[..count]);
        self.taken += count;
        if self.taken == self.passed.len() {
            // Freed, not cleared: idle connections shall cost nothing.
            (self.passed, self.taken) = (Vec::new(), 0);
        }
        count > 0
    }

    /// Lets the guard look at what is there.
    fn look(&mut self) {
        match self.guard.feed(&self.raw, &mut self.passed) {
            Ok(used) if used == self.raw.len() => self.raw = Vec::new(),
            Ok(used) => drop(self.raw.drain(..used)),
            Err(refused) => self.refuse(refused),
        }
        if self.guard.is_last() {
            self.conversation.ends_with(self.guard.messages());
        }
    }

    fn refuse(&mut self, refused: Refused) {
        self.raw = Vec::new();
        self.refused = Some(Place::Body);
        if refused.line.is_some() {
            self.refused = Some(Place::Head);
            self.passed.extend_from_slice(STAND_IN);
        }
        self.conversation.refuse(refused);
    }

    /// Reads body bytes straight into the library's buffer.
    fn read_plain(
        &mut self,
        ahead: u64,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most =
            usize::try_from(ahead).map_or(buf.remaining(), |ahead| ahead.min(buf.remaining()));
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        let outcome = Pin::new(&mut self.socket).poll_read(cx, &mut part);
        let count = part.filled().len();
        ready!(self.watch_reading(outcome, cx))?;
        self.guard.skip(count);
        buf.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Reads bytes for the guard; none at the end of the stream.
    fn read_raw(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; LOOK];
        let mut part = ReadBuf::new(&mut space);
        let outcome = Pin::new(&mut self.socket).poll_read(cx, &mut part);
        ready!(self.watch_reading(outcome, cx))?;
        self.raw.extend_from_slice(part.filled());
        Poll::Ready(Ok(part.filled().len()))
    }

    /// Inside a body silence has a limit; heads have one of their own, tunnels none.
    fn watch_reading(
        &mut self,
        outcome: Poll<io::Result<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.guard.in_body() {
            return outcome;
        }
        let outcome = self.reading.watch(outcome, cx);
        if matches!(&outcome, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            let refused = self.guard.refuse(Refusal::BodyStalled);
            self.refuse(refused);
        }
        outcome
    }

    /// What comes when nothing more is wanted is counted, so that it cannot go on for ever.
    fn tolerate(&mut self, count: usize) -> io::Result<()> {
        if self.guard.is_done() {
            self.surplus += count;
        }
        match self.surplus > SURPLUS {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(()),
        }
    }

    /// Reads and forgets, so that the answer is not lost to a reset; over at the end, or when it takes too long.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.raw.clear();
            match self.read_raw(cx) {
                Poll::Ready(Ok(count)) if count > 0 && self.tolerate(count).is_ok() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.lingering.expired(cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if buf.remaining() == 0 || this.hand_over(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.refused {
                Some(Place::Body) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                // The answer to the stand-in ends the connection; an error would come before it.
                Some(Place::Head) => return Poll::Pending,
                None => {}
            }
            if this.guard.is_undecided() {
                match this.conversation.outcome(this.guard.messages(), cx) {
                    Some(tunnel) => this.guard.decide(tunnel),
                    None => return Poll::Pending,
                }
            }
            if !this.raw.is_empty() {
                this.look();
                continue;
            }
            match this.guard.plain_ahead() {
                0 => {
                    let count = ready!(this.read_raw(cx))?;
                    if count == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    this.tolerate(count)?;
                }
                ahead => return this.read_plain(ahead, cx, buf),
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.socket).poll_write_vectored(cx, parts);
        match this.guard.is_tunnel() {
            true => outcome,
            false => this.writing.watch(outcome, cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        if this.refused.is_some() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
