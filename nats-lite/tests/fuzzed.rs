//! The corpus of the fuzz targets, replayed whole and in mutations.
#![allow(clippy::unwrap_used)]

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// Mutations per target and run: a few seconds here, minutes with BLOOMERY_FULL=1.
const MUTATIONS: usize = 20_000;

/// Longer inputs only take longer.
const LONGEST: usize = 600;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/");
    let entries = std::fs::read_dir(format!("{dir}{target}")).unwrap();
    let named = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    let mut all: Vec<_> = entries.map(|entry| named(entry.unwrap().path())).collect();
    all.sort();
    all
}

/// Every file of the corpus, then mutations of it from a fixed seed, so that a failure comes back.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "the corpus of {target} has gone");
    for (name, input) in &corpus {
        eprintln!("{target}/{name}");
        run(input);
    }
    let full = std::env::var("BLOOMERY_FULL").as_deref() == Ok("1");
    let count = if full { 100 * MUTATIONS } else { MUTATIONS };
    let mut random = SmallRng::seed_from_u64(4222);
    for number in 0..count {
        let input = mutated(&corpus, &mut random);
        let outcome = std::panic::catch_unwind(|| run(&input));
        assert!(
            outcome.is_ok(),
            "mutation {number} of {target}: {:?}",
            String::from_utf8_lossy(&input)
        );
    }
}

/// Some of two files, with some bytes changed.
fn mutated(corpus: &[(String, Vec<u8>)], random: &mut SmallRng) -> Vec<u8> {
    let pick = |random: &mut SmallRng| &corpus.choose(random).unwrap().1;
    let (first, second) = (pick(random), pick(random));
    let (end, start) = (
        random.random_range(0..=first.len()),
        random.random_range(0..=second.len()),
    );
    let mut input = if random.random_bool(0.5) {
        first.clone()
    } else {
        [&first[..end], &second[start..]].concat()
    };
    input.truncate(LONGEST);
    for _ in 0..random.random_range(0..4) {
        if input.is_empty() {
            break;
        }
        let at = random.random_range(0..input.len());
        match random.random_range(0..4) {
            0 => input[at] = random.random(),
            1 => drop(input.remove(at)),
            2 => input.insert(at, *b" \t\r\n.*>0{}[]$\"a".choose(random).unwrap()),
            _ => input.extend_from_within(at..input.len().min(at + 8)),
        }
    }
    input
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
