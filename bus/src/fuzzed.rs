//! What must hold for every input, stated once for the fuzz target (`bus/fuzz`) and for the test that replays its corpus.

use crate::client::read_stream;

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

/// What a server sends is read the same however it is cut, and a whole message behind anything readable is delivered.
///
/// # Panics
/// When that does not hold.
pub fn stream(data: &[u8]) {
    let whole = read_stream(data, data.len().max(1));
    for step in [1, 3, 16] {
        assert_eq!(whole, read_stream(data, step), "cut every {step} bytes");
    }
    let Ok(whole) = whole else { return };
    let with_more = [data, b"\r\nMSG after 1 2\r\nhi\r\n"].concat();
    if let Ok(read) = read_stream(&with_more, 7) {
        assert!(read.len() >= whole.len(), "what follows takes nothing back");
        assert_eq!(read[..whole.len()], whole[..]);
    }
}

#[test]
fn the_corpus_holds_whole_and_in_mutations() {
    let replay = replay::Replay {
        target: "stream",
        more: Vec::new(),
        spice: b" \t\r\n0917HMSGPINFO+-{}\"\xff",
        mutations: 20_000,
        longest: 500,
    };
    replay.run(stream);
}
