//! The strict reader: which client bytes may be understood as a request at all.
//!
//! Two parsers that disagree about a bare LF, a space before a colon, `+5` as a
//! length or two ways to give a length are a smuggling hole. So a head is
//! forwarded only once it was found to have exactly one meaning, and a body only
//! as far as its framing was followed.
//!
//! Pure: fed with bytes, says what they are. No IO, no clock, no copies.
//! `scan` finds a head, `head` judges it, `chunked` follows a chunked body, [`Refusal`] names what is wrong.

mod body;
mod chunked;
mod head;
mod host;
mod names;
mod refusal;
mod scan;
mod span;

pub use head::{Field, Framing, Head, judge};
pub use host::host as is_host;
pub use names::Name;
pub use refusal::Refusal;
pub use span::Span;

pub(crate) use body::{Body, Passing};
pub(crate) use chunked::Chunked;
pub(crate) use head::{length, names, parse_field, words};

use scan::Scan;

/// How much of a head is read before giving up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the request line and all header lines together.
    pub head_bytes: usize,
    /// Header lines; trailers are counted on their own, with the same limit.
    pub fields: usize,
}

#[cfg(test)]
impl Limits {
    /// What tests of the pure parts read with.
    pub(crate) const OF_TESTS: Self = Self {
        head_bytes: 8192,
        fields: 100,
    };
}

/// Where in the client's stream we are.
#[derive(Debug)]
enum State {
    Head(Scan),
    Body(Body),
}

/// Follows one client connection.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    state: State,
}

/// A message that does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong with it.
    pub why: Refusal,
    /// What there was of the request line; absent when the head had passed and its body is wrong.
    pub line: Option<String>,
}

impl Guard {
    /// At the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head(Scan::default()),
        }
    }

    /// Looks for a head in `input`, which begins with what was given before and did
    /// not complete one. Where it stands once it is complete and `found` filled.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn head(&mut self, input: &[u8], found: &mut Head) -> Result<Option<Span>, Refused> {
        let State::Head(scan) = &mut self.state else {
            return Ok(None);
        };
        let read = scan.take(input, self.limits).and_then(|place| {
            let Some(place) = place else { return Ok(None) };
            head::judge_into(place.of(input), self.limits, found)?;
            Ok(Some(place))
        });
        let refused = |why| Refused {
            why,
            line: Some(scan.excerpt(input)),
        };
        let place = read.map_err(refused)?;
        if place.is_some() {
            self.state = match found.framing {
                Framing::None | Framing::Length(0) => State::Head(Scan::default()),
                Framing::Length(length) => State::Body(Body::Length(length)),
                Framing::Chunked => State::Body(Body::Chunked(Box::default())),
            };
        }
        Ok(place)
    }

    /// Follows the body of the last head through `input`: how many of the bytes belong to it. It ends when
    /// [`Guard::in_body`] is false.
    ///
    /// # Errors
    /// The first thing that is wrong; the bytes before it are not told apart.
    pub fn body(&mut self, input: &[u8]) -> Result<usize, Refused> {
        Ok(self.pass_body(input)?.used)
    }

    /// As [`Guard::body`]; what goes on of them.
    pub(crate) fn pass_body(&mut self, input: &[u8]) -> Result<Passing, Refused> {
        let State::Body(body) = &mut self.state else {
            return Ok(Passing {
                used: 0,
                plain: 0,
                tail: Vec::new(),
            });
        };
        let taken = body.take(input, self.limits);
        let (used, done) = taken.map_err(|why| Refused { why, line: None })?;
        let passing = body.passing(used);
        if done {
            self.state = State::Head(Scan::default());
        }
        Ok(passing)
    }

    /// True inside a body.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Body(_))
    }
}

#[cfg(test)]
mod tests;
