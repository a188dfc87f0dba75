//! The corpora of the fuzz targets, replayed whole and in mutations.

#[path = "../../tests/fuzz/replay.rs"]
mod replay;

use replay::Replay;

fn replay(target: &str, check: fn(&[u8])) {
    let replay = Replay {
        target,
        more: Vec::new(),
        spice: b" \t\r\n.*>0{}[]$\"a",
        mutations: 20_000,
        longest: 600,
    };
    replay.run(check);
}

#[test]
fn what_clients_send_reads_the_same_however_it_is_cut_and_spelled() {
    replay("protocol", nats_lite::fuzzed::protocol);
}

#[test]
fn a_configuration_file_is_read_or_refused() {
    replay("config", nats_lite::fuzzed::config);
}

#[test]
fn users_hear_what_they_may_and_nothing_else() {
    replay("subjects", nats_lite::fuzzed::subjects);
}
