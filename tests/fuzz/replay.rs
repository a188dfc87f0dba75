//! Replays the corpus of a fuzz target, whole and in mutations. No crate: the tests of each crate with fuzz targets take this file by
//! its path.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// One target's inputs, and what becomes of them.
pub(crate) struct Replay<'a> {
    /// The folder of `fuzz/corpus` in the crate under test.
    pub(crate) target: &'a str,
    /// Inputs beside those of the folder.
    pub(crate) more: Vec<Vec<u8>>,
    /// Bytes worth putting in.
    pub(crate) spice: &'a [u8],
    /// Mutations in a usual run; with BLOOMERY_FULL=1 a hundred times as many.
    pub(crate) mutations: usize,
    /// Mutations are cut after so many bytes: longer ones only take longer.
    pub(crate) longest: usize,
}

impl Replay<'_> {
    /// Every input, then mutations of them from a fixed seed, so that a failure comes back.
    pub(crate) fn run(mut self, check: fn(&[u8])) {
        let mut corpus = corpus(self.target);
        corpus.append(&mut self.more);
        let check = |input: &[u8]| {
            let outcome = std::panic::catch_unwind(|| check(input));
            let (target, text) = (self.target, input.escape_ascii());
            assert!(outcome.is_ok(), "{target} does not hold for \"{text}\"");
        };
        corpus.iter().for_each(|input| check(input));
        let full = std::env::var("BLOOMERY_FULL").as_deref() == Ok("1");
        let mut random = SmallRng::seed_from_u64(8080);
        for _ in 0..self.mutations * if full { 100 } else { 1 } {
            check(&self.mutated(&corpus, &mut random));
        }
    }

    /// The beginning of one input and the end of another, with some bytes changed.
    fn mutated(&self, corpus: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
        let pick = |random: &mut SmallRng| corpus.choose(random).expect("a corpus is not empty");
        let (first, second) = (pick(random), pick(random));
        let mut input = first.clone();
        if random.random_bool(0.5) {
            input.truncate(random.random_range(0..=first.len()));
            input.extend_from_slice(&second[random.random_range(0..=second.len())..]);
        }
        input.truncate(self.longest);
        for _ in 0..random.random_range(0..4) {
            self.change(&mut input, random);
        }
        input
    }

    fn change(&self, input: &mut Vec<u8>, random: &mut SmallRng) {
        if input.is_empty() {
            return;
        }
        let at = random.random_range(0..input.len());
        match random.random_range(0..4) {
            0 => input[at] = random.random(),
            1 => drop(input.remove(at)),
            2 => input.insert(at, *self.spice.choose(random).unwrap_or(&0)),
            _ => input.extend_from_within(at..input.len().min(at + 8)),
        }
    }
}

/// The files of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = format!(
        concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/{}"),
        target
    );
    let entries = std::fs::read_dir(&dir).expect("a target has a corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a corpus is readable").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "the corpus of {target} has gone");
    let read = |path| std::fs::read(path).expect("a corpus is readable");
    paths.iter().map(read).collect()
}
