//! Every line of an app arrives once and in order, or its loss is said.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, channel};

use tests::binaries::{PATIENCE, Platform, may_run};

use crate::PROBE;

const LINES: u32 = 5000;

/// What a line of `cf logs` means here.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A line of the probe.
    Number(u32),
    /// This many lines were dropped because the reader was too slow.
    Lost(u32),
}

fn seen(line: &str) -> Option<Seen> {
    if let Some((_, number)) = line.rsplit_once("OUT line ") {
        return number.trim().parse().ok().map(Seen::Number);
    }
    let (before, _) = line.split_once(" lines were dropped")?;
    before.rsplit(' ').next()?.parse().ok().map(Seen::Lost)
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
fn logs_arrive_once_and_in_order_and_a_loss_is_counted() {
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
    let (mut expected, mut lost) = (0, 0);
    while expected < LINES {
        match seen(&next(&lines, &format!("line {expected}"))) {
            Some(Seen::Number(number)) => {
                assert_eq!(
                    number, expected,
                    "a line is missing, doubled or out of order, and no loss was said"
                );
                expected += 1;
            }
            Some(Seen::Lost(count)) => {
                lost += count;
                expected += count;
            }
            None => {}
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert!(lost < LINES, "nothing arrived at all");
    let recent = platform.cf(&["logs", "probe", "--recent"]).well();
    let kept: Vec<u32> = recent
        .text()
        .lines()
        .filter_map(seen)
        .filter_map(|s| match s {
            Seen::Number(number) => Some(number),
            Seen::Lost(_) => None,
        })
        .collect();
    let first = *kept.first().expect("recent lines are kept");
    assert!(
        first <= LINES - 1000 && kept == (first..LINES).collect::<Vec<_>>(),
        "recent lines have a gap: {kept:?}"
    );
}
