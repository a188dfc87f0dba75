//! Every line of an app arrives, once and in order.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, channel};

use tests::binaries::{PATIENCE, Platform, may_run};

use crate::PROBE;

const LINES: u32 = 20_000;

/// The number of a line of the probe.
///
/// # Panics
/// When the line says that others were lost.
fn number(line: &str) -> Option<u32> {
    assert!(!line.contains("lines were dropped"), "{line}");
    let (_, number) = line.rsplit_once("OUT line ")?;
    number.trim().parse().ok()
}

/// Lines as they come, read by a thread so that waiting for them has a ceiling.
fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>, after: &str) -> String {
    let waited = PATIENCE.as_secs();
    lines
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|e| panic!("no further line within {waited} s after {after}: {e}"))
}

#[test]
fn twenty_thousand_lines_arrive_once_and_in_order() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let mut tail = platform.cf_running(&["logs", "probe"]);
    let lines = lines_of(tail.stdout.take().unwrap());
    while !next(&lines, "the start of cf logs").contains("Connected, tailing logs") {}
    assert_eq!(probe.body(&format!("/lines/{LINES}")), "printed");
    let mut expected = 0;
    while expected < LINES {
        if let Some(number) = number(&next(&lines, &format!("line {expected}"))) {
            assert_eq!(number, expected, "missing, doubled or out of order");
            expected += 1;
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    let recent = platform.cf(&["logs", "probe", "--recent"]).well();
    let kept: Vec<u32> = recent.text().lines().filter_map(number).collect();
    let first = *kept.first().expect("recent lines are kept");
    assert!(
        first <= LINES - 1000 && kept == (first..LINES).collect::<Vec<_>>(),
        "recent lines have a gap: {kept:?}"
    );
}
