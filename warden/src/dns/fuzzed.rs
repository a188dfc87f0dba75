//! What must hold for every packet, stated once for the fuzz target (`warden/fuzz`) and for the test that replays its corpus.
//!
//! The target takes this file and `packet.rs` by their paths: the crate as a whole would bring the kernel along.

use std::net::Ipv4Addr;

use super::packet;

#[cfg(test)]
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

/// A query is answered as one that came over the net is: same number, same question, as many records as announced. What is no query
/// gets no answer, so that two forwarders cannot keep each other busy.
pub(crate) fn question(data: &[u8]) {
    let asked = packet::read(data);
    if !packet::is_query(data) {
        return assert_eq!(asked, None, "no query, yet it asks");
    }
    let failed = packet::failure(data);
    follows(data, &failed, 2);
    let Some(asked) = asked else {
        return assert_eq!(failed.len(), 12);
    };
    let answer = packet::own_answer(data, &asked, Ipv4Addr::new(10, 254, 0, 1));
    follows(data, &answer, 0);
    let question = behind_name(&answer);
    assert_eq!(failed, [&failed[..12], &data[12..question]].concat());
    let (again, record) = answer.split_at(question);
    assert_eq!(again[12..], data[12..question], "another question");
    match answer[7] {
        0 => assert!(record.is_empty()),
        1 => assert!(record.len() == 16 && record.ends_with(&[10, 254, 0, 1])),
        more => panic!("{more} answers"),
    }
    let name = plain_name(data);
    let below = name == "b.c" || name.ends_with(".b.c");
    assert_eq!(asked.is_below("b.c"), below, "{name:?}");
    let mut echo = data.to_vec();
    echo[2] |= 0x80;
    assert!(!packet::is_query(&echo), "an answer counts as a query");
}

/// The header belongs to the question.
fn follows(data: &[u8], answer: &[u8], code: u8) {
    assert_eq!(answer[..2], data[..2], "another number");
    assert!(answer[2] & 0x80 != 0 && answer[2] & 0x79 == data[2] & 0x79);
    assert_eq!(answer[3] & 0x0f, code);
    assert_eq!(answer[8..12], [0; 4]);
    assert!(answer.len() <= data.len() + 16);
}

/// The labels of a question, one after the other, in lower case.
fn plain_name(packet: &[u8]) -> String {
    let mut names = Vec::new();
    let mut at = 12;
    while packet[at] > 0 {
        let next = at + 1 + usize::from(packet[at]);
        names.push(String::from_utf8_lossy(&packet[at + 1..next]).to_ascii_lowercase());
        at = next;
    }
    names.join(".")
}

/// Where the only question of a packet ends, found in the plainest way.
fn behind_name(packet: &[u8]) -> usize {
    let mut at = 12;
    while packet[at] > 0 {
        at += 1 + usize::from(packet[at]);
    }
    at + 5
}

#[cfg(test)]
mod tests {
    use super::replay::Replay;

    #[test]
    fn packets_of_containers_are_answered_in_kind_or_not_at_all() {
        let replay = Replay {
            target: "question",
            more: Vec::new(),
            spice: b"\x00\x01\x3f\x40\xc0\xff.b",
            mutations: 10_000,
            longest: 600,
        };
        replay.run(super::question);
    }
}
