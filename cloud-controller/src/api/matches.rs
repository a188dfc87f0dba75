//! Which files need not be sent: those that a space has sent before of which the caller may read the bits anyway. To know a digest proves
//! nothing, and a wrong size is another file.

use std::collections::HashSet;
use std::ops::Range;

use axum::body::BodyDataStream;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::StatusCode;
use v2_api::{ApiError, Code};

use super::body::{announced, too_large};
use super::resources::{ListError, ListReader, Read, Resources};
use crate::authorize::Caller;
use crate::blobs::Place;
use crate::budget::Held;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::limits::RESOURCE_LIST_BYTES;
use crate::store::{File, MOST_AMONG, Whose};

/// Seconds after which a client may try again when others hold what there is.
const RETRY_AFTER: u32 = 5;

/// A list of files whose body is not read yet.
pub(super) struct Incoming(BodyDataStream);

impl FromRequest<Ctl> for Incoming {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Ctl) -> Result<Incoming, Failure> {
        match announced(request.headers()) {
            Some(bytes) if bytes > RESOURCE_LIST_BYTES as u64 => {
                Err(too_large(RESOURCE_LIST_BYTES))
            }
            _ => Ok(Incoming(request.into_body().into_data_stream())),
        }
    }
}

/// 503: others hold what there is.
pub(super) fn busy(what: &str) -> Failure {
    ApiError::with(
        Code::ServiceUnavailable,
        format!("{what}. Nothing was changed; try again in a few seconds."),
    )
    .retry_after(RETRY_AFTER)
    .into()
}

/// A size as the database has it.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The entries of the list that need not be sent, as JSON.
pub(super) async fn of(ctl: &Ctl, caller: &Caller, mut list: Incoming) -> Outcome<Vec<u8>> {
    let mut reader = ListReader::default();
    let mut matching = Matching::new(ctl, caller);
    while let Some(chunk) = list.0.next().await {
        let chunk: Bytes = chunk.map_err(|error| {
            fail_with(
                Code::MessageParseError,
                format!("the body broke off: {error}"),
            )
        })?;
        // Few entries at a time, so that few wait to be looked up.
        for part in chunk.chunks(16 * 1024) {
            let keep = &mut |read: Read<'_>| {
                matching.note(&read);
                Ok(())
            };
            reader.take(part, false, keep).map_err(unreadable)?;
            matching.look_up_full().await?;
        }
    }
    reader.finish().map_err(unreadable)?;
    matching.end().await
}

fn unreadable(error: ListError) -> Failure {
    let answer = ApiError::with(Code::MessageParseError, &error);
    match error {
        ListError::TooLarge(_) => answer.with_status(StatusCode::PAYLOAD_TOO_LARGE).into(),
        _ => answer.into(),
    }
}

/// A file that is still to be looked up; where its JSON stands.
struct Asked {
    file: File,
    json: Range<usize>,
}

/// A match under way.
struct Matching<'a> {
    ctl: &'a Ctl,
    caller: &'a Caller,
    /// JSON of those that wait.
    waiting: Vec<u8>,
    asked: Vec<Asked>,
    /// The answer so far, without its last bracket.
    answer: Vec<u8>,
    held: Held,
    counted: usize,
}

impl<'a> Matching<'a> {
    fn new(ctl: &'a Ctl, caller: &'a Caller) -> Matching<'a> {
        Matching {
            ctl,
            caller,
            waiting: Vec::new(),
            asked: Vec::new(),
            answer: b"[".to_vec(),
            held: ctl.lists.of(&caller.guid),
            counted: 0,
        }
    }

    fn note(&mut self, read: &Read<'_>) {
        let limits = &self.ctl.config.limits;
        let Some(digest) = &read.digest else {
            return;
        };
        if !super::bits::keeps(limits, read.resource.size) {
            return;
        }
        let from = self.waiting.len();
        self.waiting.extend_from_slice(read.json);
        self.asked.push(Asked {
            file: (digest.clone(), signed(read.resource.size)),
            json: from..self.waiting.len(),
        });
    }

    async fn look_up_full(&mut self) -> Outcome<()> {
        match self.asked.len() >= MOST_AMONG {
            true => self.look_up().await,
            false => Ok(()),
        }
    }

    async fn look_up(&mut self) -> Outcome<()> {
        let files = self.asked.iter().map(|asked| asked.file.clone());
        let owned = there(self.ctl, self.caller, files.collect()).await?;
        for asked in &self.asked {
            if owned.contains(&asked.file) {
                if self.answer.len() > 1 {
                    self.answer.push(b',');
                }
                self.answer
                    .extend_from_slice(&self.waiting[asked.json.clone()]);
            }
        }
        self.asked.clear();
        self.waiting.clear();
        let more = self.answer.capacity() - self.counted;
        if !self.held.grow(more) {
            return Err(busy("Too many lists of files are in memory"));
        }
        self.counted += more;
        Ok(())
    }

    async fn end(mut self) -> Outcome<Vec<u8>> {
        if !self.asked.is_empty() {
            self.look_up().await?;
        }
        self.answer.push(b']');
        Ok(self.answer)
    }
}

/// Which of these files the caller may be told to be here: the store has them.
async fn there(ctl: &Ctl, caller: &Caller, files: Vec<File>) -> Outcome<HashSet<File>> {
    let sha1s = files.iter().map(|(sha1, _)| sha1.as_str()).collect();
    let owned = owned(ctl, caller, sha1s, true).await?;
    let mut there = HashSet::new();
    for file in files {
        if owned.contains(&file)
            && !there.contains(&file)
            && ctl.blobs.has(&Place::Resource(file.0.clone())).await?
        {
            there.insert(file);
        }
    }
    Ok(there)
}

/// Which files of a list the caller may use.
pub(super) async fn usable(
    ctl: &Ctl,
    caller: &Caller,
    resources: &Resources,
) -> Outcome<HashSet<File>> {
    let sha1s = resources.files().map(|known| known.sha1).collect();
    owned(ctl, caller, sha1s, false).await
}

async fn owned(
    ctl: &Ctl,
    caller: &Caller,
    mut sha1s: Vec<&str>,
    to_tell: bool,
) -> Outcome<HashSet<File>> {
    sha1s.sort_unstable();
    sha1s.dedup();
    let whose = match caller.admin {
        true => Whose::Anybodys,
        false => Whose::Developers(&caller.guid),
    };
    let mut owned = HashSet::new();
    for part in sha1s.chunks(MOST_AMONG) {
        owned.extend(ctl.store.owned_files(whose, part, to_tell).await?);
    }
    Ok(owned)
}
