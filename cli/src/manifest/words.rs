//! `${random-word}` and the words behind it.

use super::node::{Kind, Node};

const FIRST: [&str; 24] = [
    "amber", "brisk", "calm", "daring", "eager", "fair", "gentle", "happy", "idle", "jolly",
    "keen", "lively", "mellow", "nimble", "open", "proud", "quiet", "rapid", "silent", "tidy",
    "urban", "vivid", "warm", "young",
];
const SECOND: [&str; 24] = [
    "anvil", "badger", "cedar", "delta", "ember", "falcon", "glacier", "heron", "iron", "jackdaw",
    "kestrel", "lynx", "maple", "needle", "otter", "poplar", "quarry", "raven", "spruce", "tern",
    "umber", "vale", "willow", "yarrow",
];

/// Two words and two letters that nobody else is likely to have taken.
pub fn random() -> String {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    of(mixed(nanos as u64 ^ (u64::from(std::process::id()) << 40)))
}

/// Spreads a clock's few changing bits over all of them (the finaliser of splitmix64).
fn mixed(seed: u64) -> u64 {
    let a = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

fn of(number: u64) -> String {
    let pick = |words: &[&'static str], n: u64| words[(n % words.len() as u64) as usize];
    let letter = |n: u64| char::from(b'a' + (n % 26) as u8);
    format!(
        "{}-{}-{}{}",
        pick(&FIRST, number),
        pick(&SECOND, number >> 16),
        letter(number >> 32),
        letter(number >> 48)
    )
}

/// Replaces `${random-word}` in every text.
pub fn replace(node: &mut Node, word: &str) {
    match &mut node.value {
        Kind::Text(text) if text.contains("${random-word}") => {
            *text = text.replace("${random-word}", word);
        }
        Kind::List(items) => items.iter_mut().for_each(|item| replace(item, word)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, n)| replace(n, word)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_words_are_good_host_names_and_differ() {
        let words: std::collections::HashSet<String> = (0..200).map(|n| of(mixed(n))).collect();
        assert!(words.len() > 190, "{}", words.len());
        let good = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(words.iter().all(|w| w.chars().all(good)));
    }
}
