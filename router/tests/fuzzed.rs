//! The corpora of the fuzz targets, replayed whole and in mutations.

mod corpus_case;
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

use replay::Replay;

/// Longer inputs only take longer.
const LONGEST: usize = 500;

fn replay(target: &str, more: Vec<Vec<u8>>, check: fn(&[u8])) {
    let replay = Replay {
        target,
        more,
        spice: b" \t\r\n:;,/0a\"\\",
        mutations: 10_000,
        longest: LONGEST,
    };
    replay.run(check);
}

#[test]
fn requests_read_the_same_however_they_are_cut_and_pass_with_one_meaning() {
    let cases = corpus_case::cases().into_iter().map(|case| case.request);
    let short = cases.filter(|request| request.len() <= LONGEST);
    replay("request", short.collect(), router::fuzzed::request);
}

#[test]
fn answers_read_the_same_however_they_are_cut_and_pass_with_one_meaning() {
    replay("answer", Vec::new(), router::fuzzed::answer);
}

#[test]
fn requests_go_where_the_registrations_in_force_say() {
    replay("registration", Vec::new(), router::fuzzed::registration);
}
