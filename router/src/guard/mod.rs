//! The strict reader in front of the HTTP library: which client bytes may be understood as a request at all.
//!
//! Why our own: the library has forgotten what matters by the time it hands over
//! a parsed head (a bare LF, a space before a colon, `+5` as a length, two ways
//! to give a length), and two parsers that disagree about one of these are a
//! smuggling hole. So every byte passes here first, and reaches the library only
//! once its head was found to have exactly one meaning.
//!
//! Pure: fed with bytes, says which may pass. No IO, no clock.
//! `head` judges a complete head, `chunked` follows a chunked body, [`Refusal`] names what is wrong.

mod chunked;
mod head;
mod host;
mod refusal;
mod scan;

pub use head::{Framing, Head, judge};
pub use host::host as is_host;
pub use refusal::Refusal;

use chunked::Chunked;
use scan::Scan;

/// How much of a head is read before giving up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the request line and all header lines together.
    pub head_bytes: usize,
    /// Header lines; trailers are counted on their own, with the same limit.
    pub fields: usize,
}

/// Where in the client's stream we are.
#[derive(Debug)]
enum State {
    Head(Scan),
    Length(u64),
    Chunked(Chunked),
    /// An upgrade was asked for; whether HTTP goes on is the instance's decision.
    Undecided,
    /// No HTTP any more.
    Tunnel,
    /// The client said that nothing follows, or was refused.
    Done,
}

/// Follows one client connection.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    state: State,
    /// What follows the message being read.
    after: After,
    messages: u64,
}

/// A message that does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong with it.
    pub why: Refusal,
    /// The how-manieth message of the connection it is, from 1.
    pub message: u64,
    /// What there was of the request line; absent when the head had passed and its body is wrong.
    pub line: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Next,
    Undecided,
    Done,
}

impl Guard {
    /// At the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head(Scan::default()),
            after: After::Next,
            messages: 0,
        }
    }

    /// Reads `input` and appends what may pass to `out`; a head passes only as a
    /// whole. Returns how much was used: less than all when the rest has to
    /// wait for the outcome of an upgrade. What follows the last message is
    /// used up and passes nowhere.
    ///
    /// # Errors
    /// The first thing that is wrong. Nothing passes after that.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut used = 0;
        while used < input.len() && !self.is_undecided() {
            let step = self.step(&input[used..], out);
            used += step.map_err(|why| self.refuse(why))?;
        }
        Ok(used)
    }

    /// Nothing passes from here on.
    pub fn refuse(&mut self, why: Refusal) -> Refused {
        let line = match &self.state {
            State::Head(scan) => Some(scan.excerpt()),
            _ => None,
        };
        self.state = State::Done;
        Refused {
            why,
            message: self.messages + u64::from(line.is_some()),
            line,
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        match &mut self.state {
            State::Head(scan) => {
                let (used, complete) = scan.take(input, self.limits)?;
                if complete {
                    let head = judge(scan.bytes(), self.limits)?;
                    out.extend_from_slice(scan.bytes());
                    self.begin(&head);
                }
                Ok(used)
            }
            State::Length(left) => {
                let take = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                out.extend_from_slice(&input[..take]);
                self.skip(take);
                Ok(take)
            }
            State::Chunked(body) => {
                let (used, complete) = body.take(input, self.limits)?;
                out.extend_from_slice(&input[..used]);
                if complete {
                    self.end();
                }
                Ok(used)
            }
            State::Tunnel => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            State::Undecided | State::Done => Ok(input.len()),
        }
    }

    fn begin(&mut self, head: &Head) {
        self.messages += 1;
        self.after = match (head.upgrade, head.last) {
            (true, _) => After::Undecided,
            (false, true) => After::Done,
            (false, false) => After::Next,
        };
        match head.framing {
            Framing::None | Framing::Length(0) => self.end(),
            Framing::Length(length) => self.state = State::Length(length),
            Framing::Chunked => self.state = State::Chunked(Chunked::default()),
        }
    }

    fn end(&mut self) {
        self.state = match self.after {
            After::Next => State::Head(Scan::default()),
            After::Undecided => State::Undecided,
            After::Done => State::Done,
        };
    }

    /// Body bytes that need no look: they may be read past the guard, then reported with [`Guard::skip`].
    pub fn plain_ahead(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(body) => body.plain_ahead(),
            State::Tunnel => u64::MAX,
            _ => 0,
        }
    }

    /// `count` bytes, at most [`Guard::plain_ahead`], went by.
    pub fn skip(&mut self, count: usize) {
        match &mut self.state {
            State::Length(left) => {
                *left = left.saturating_sub(count as u64);
                if *left == 0 {
                    self.end();
                }
            }
            State::Chunked(body) => body.skip(count as u64),
            _ => {}
        }
    }

    /// How the request with the upgrade ended: a tunnel from here on, or HTTP as before.
    pub fn decide(&mut self, tunnel: bool) {
        if matches!(self.state, State::Undecided) {
            self.state = match tunnel {
                true => State::Tunnel,
                false => State::Head(Scan::default()),
            };
        }
    }

    /// True while the outcome of an upgrade is awaited.
    pub fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided)
    }

    /// True once HTTP has been left.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.state, State::Tunnel)
    }

    /// True when nothing more will pass.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// True when the message being read, or read last, is the client's last.
    pub fn is_last(&self) -> bool {
        self.after == After::Done
    }

    /// True inside a body.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    /// Heads accepted so far.
    pub fn messages(&self) -> u64 {
        self.messages
    }
}

#[cfg(test)]
mod tests;
