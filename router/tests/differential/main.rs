//! The corpus beside nginx and haproxy, and before backend parsers of three kinds.
//!
//! What we let pass is read the same by all parsers. Where a peer's verdict is another than
//! ours, `explained.tsv` says why; a disagreement that nobody explained fails.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../corpus_case/mod.rs"]
mod corpus_case;
mod explained;
mod parsers;
mod peers;
mod recorder;

use std::time::Duration;

use common::{Edge, PATIENCE};
use corpus_case::{Case, Verdict, cases};
use explained::Explanations;
use parsers::{Parser, Seen};
use peers::{Lanes, Peer};
use recorder::{Exchange, Recorder};

/// Is it one of the peers' programs that is missing? A laptop may do without; CI may not.
fn needed<T>(found: Option<T>, what: &str) -> Option<T> {
    let is_ci = std::env::var("CI").as_deref() == Ok("true");
    assert!(found.is_some() || !is_ci, "CI needs {what}");
    if found.is_none() {
        eprintln!("SKIPPED: there is no {what}");
    }
    found
}

/// What went through our router.
async fn ours(cases: &[Case]) -> Vec<Exchange> {
    let edge = Edge::start().await;
    let recorder = Recorder::start().await;
    let endpoint = common::endpoint(recorder.port, "i1", &["a.example.com"]);
    edge.register(&endpoint).await;
    let mut all = Vec::new();
    for case in cases {
        // It says how many answers there will be; a cut or a close ends it anyway.
        let lives = !case
            .verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Cut | Verdict::Close));
        let answers = lives.then(|| case.statuses().len());
        let proxy = edge.router.addr();
        all.push(recorder.send(proxy, &case.request, answers, PATIENCE).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parsers_of_three_kinds_read_the_same_requests_in_what_we_let_pass() {
    let Some(parsers) = needed(parsers::all(), "node with npm, or python with venv") else {
        return;
    };
    let cases = cases();
    let passed = ours(&cases).await;
    let mut wrong = Vec::new();
    let streams: Vec<Vec<u8>> = passed.iter().map(Exchange::stream).collect();
    let mut seen: Vec<(Parser, Vec<Seen>)> = Vec::new();
    for parser in parsers {
        seen.push((parser, parser.read(&streams).await));
    }
    for (at, case) in cases.iter().enumerate() {
        let (first, of_first) = (&seen[0].0, &seen[0].1[at]);
        for (parser, found) in &seen[1..] {
            if found[at] != *of_first && !parsers::explained(*parser, case) {
                wrong.push(format!(
                    "line {}: {first:?} {of_first:?}, {parser:?} {:?}\n    {}",
                    case.line, found[at], case.text
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// How long nothing may come before a peer counts as having said everything. Neither waits for more
/// than a packet on loopback, so the first is enough; where it was not, the machine was busy, and all
/// is asked again with more patience.
const QUIETS: [Duration; 3] = [
    Duration::from_millis(150),
    Duration::from_millis(1500),
    Duration::from_secs(6),
];

/// What remains to be explained of a comparison, or explains nothing; empty when all is well.
async fn open_questions(cases: &[Case], peers: &[(Peer, Lanes)], quiet: Duration) -> Vec<String> {
    let ours = ours(cases).await;
    let mut explanations = Explanations::read();
    let mut open = Vec::new();
    for (peer, lanes) in peers {
        let all = lanes.all(cases, quiet).await;
        for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&all) {
            let difference = explained::difference(*peer, ours, theirs);
            if let Some(it) = difference.filter(|it| !explanations.cover(it, case)) {
                open.push(format!(
                    "unexplained: line {} {it} {}",
                    case.line, case.text
                ));
            }
        }
    }
    let idle = explanations.unused().into_iter();
    open.extend(idle.map(|row| format!("explains nothing any more: {row}")));
    open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_disagreement_with_nginx_and_haproxy_is_explained() {
    let cases = cases();
    let mut running = Vec::new();
    for peer in peers::ALL {
        let Some(lanes) = needed(peer.start().await, peer.program()) else {
            return;
        };
        running.push((peer, lanes));
    }
    let mut open = Vec::new();
    for quiet in QUIETS {
        open = open_questions(&cases, &running, quiet).await;
        if open.is_empty() {
            return;
        }
        eprintln!("with {quiet:?} of patience:\n{}", open.join("\n"));
    }
    panic!("{} open questions:\n{}", open.len(), open.join("\n"));
}
