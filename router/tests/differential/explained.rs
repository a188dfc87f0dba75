//! Where the verdicts differ, and why that is right.

use std::fmt;

use super::corpus_case::Case;
use super::peers::Peer;
use super::recorder::Exchange;

/// How a peer's verdict differs from ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    peer: Peer,
    kind: Kind,
    /// Why we refused, in the words of our answer; else empty.
    ours: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It lets pass what we refuse.
    LetsPass,
    /// It refuses what we let pass.
    Refuses,
    /// Both let something pass, but not the same requests.
    Other,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::LetsPass => "passes",
            Kind::Refuses => "refuses",
            Kind::Other => "differs",
        };
        write!(f, "{}\t{kind}\t{}", self.peer.program(), self.ours)
    }
}

/// Request lines and bodies that reached an instance; hosts and forwarded headers are each proxy's own business.
fn gist(exchange: &Exchange) -> Vec<String> {
    let line = |message: &Vec<u8>| {
        let text = String::from_utf8_lossy(message).into_owned();
        let line = text.lines().next().unwrap_or_default();
        let words: Vec<&str> = line.split(' ').take(2).collect();
        words.join(" ")
    };
    exchange.received.iter().map(line).collect()
}

/// The difference, if there is one.
pub(crate) fn difference(peer: Peer, ours: &Exchange, theirs: &Exchange) -> Option<Difference> {
    let (we, they) = (gist(ours), gist(theirs));
    if we == they {
        return None;
    }
    let kind = match (we.len(), they.len()) {
        (we, they) if they > we => Kind::LetsPass,
        (we, they) if they < we => Kind::Refuses,
        _ => Kind::Other,
    };
    let said = ours.answers.rsplit("\r\n\r\n").next().unwrap_or_default();
    let reason = said.lines().next().unwrap_or_default();
    let reason = reason.split_once(": ").map_or("", |(_, why)| why);
    Some(Difference {
        peer,
        kind,
        ours: reason.to_owned(),
    })
}

/// The table of reasons, and which of them were needed.
pub(crate) struct Explanations {
    rows: Vec<(Row, bool)>,
}

struct Row {
    /// The peer's program, or `both`.
    peer: &'static str,
    kind: &'static str,
    /// Part of our reason, or of the case's text.
    about: &'static str,
    text: &'static str,
}

impl Explanations {
    pub(crate) fn read() -> Self {
        let lines = include_str!("explained.tsv").lines();
        let rows = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let columns: Vec<&'static str> = line.split('\t').collect();
                let [peer, kind, about, why] = columns[..] else {
                    panic!("not four columns: {line}");
                };
                assert!(why.len() > 15, "no reason: {line}");
                let row = Row {
                    peer,
                    kind,
                    about,
                    text: line,
                };
                (row, false)
            });
        Self {
            rows: rows.collect(),
        }
    }

    /// Is it explained?
    pub(crate) fn cover(&mut self, difference: &Difference, case: &Case) -> bool {
        let text = difference.to_string();
        let fits = |row: &Row| {
            let peer = row.peer == "both" || text.starts_with(row.peer);
            let about = difference.ours.contains(row.about) || case.text.contains(row.about);
            peer && about && text.contains(&format!("\t{}\t", row.kind))
        };
        let mut found = false;
        for (row, used) in &mut self.rows {
            if fits(row) {
                (*used, found) = (true, true);
            }
        }
        found
    }

    /// Rows that explained nothing.
    pub(crate) fn unused(&self) -> Vec<&'static str> {
        let idle = self.rows.iter().filter(|(_, used)| !used);
        idle.map(|(row, _)| row.text).collect()
    }
}
