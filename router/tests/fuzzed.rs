//! The corpora of the fuzz targets, replayed whole and in mutations.
#![allow(clippy::unwrap_used)]

mod corpus_case;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// Mutations per target and run: seconds here, minutes with BLOOMERY_FULL=1.
const MUTATIONS: usize = 10_000;
/// Longer inputs only take longer.
const LONGEST: usize = 500;

fn files(target: &str) -> Vec<Vec<u8>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/");
    let entries = std::fs::read_dir(format!("{dir}{target}")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "the corpus of {target} has gone");
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Every input, then mutations of them from a fixed seed, so that a failure comes back.
fn replay(corpus: &[Vec<u8>], run: fn(&[u8])) {
    let check = |input: &[u8]| {
        let outcome = std::panic::catch_unwind(|| run(input));
        assert!(outcome.is_ok(), "{:?}", String::from_utf8_lossy(input));
    };
    corpus.iter().for_each(|input| check(input));
    let full = std::env::var("BLOOMERY_FULL").as_deref() == Ok("1");
    let mut random = SmallRng::seed_from_u64(8080);
    for _ in 0..if full { 100 * MUTATIONS } else { MUTATIONS } {
        check(&mutated(corpus, &mut random));
    }
}

/// The beginning of one input and the end of another, with some bytes changed.
fn mutated(corpus: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let (first, second) = (
        corpus.choose(random).unwrap(),
        corpus.choose(random).unwrap(),
    );
    let mut input = match random.random_bool(0.5) {
        true => first.clone(),
        false => {
            let end = random.random_range(0..=first.len());
            let start = random.random_range(0..=second.len());
            [&first[..end], &second[start..]].concat()
        }
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
            2 => input.insert(at, *b" \t\r\n:;,/0a".choose(random).unwrap()),
            _ => input.extend_from_within(at..input.len().min(at + 8)),
        }
    }
    input
}

#[test]
fn requests_read_the_same_however_they_are_cut_and_pass_with_one_meaning() {
    let mut corpus = files("request");
    let cases = corpus_case::cases().into_iter().map(|case| case.request);
    corpus.extend(cases.filter(|request| request.len() <= LONGEST));
    replay(&corpus, router::fuzzed::request);
}

#[test]
fn answers_read_the_same_however_they_are_cut_and_pass_with_one_meaning() {
    replay(&files("answer"), router::fuzzed::answer);
}
