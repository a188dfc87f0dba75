//! What stands in DNS packets (RFC 1035 §4), as far as the forwarder must know. Pure; the packets come from containers.

use std::net::Ipv4Addr;

const A: u16 = 1;
const ANY: u16 = 255;
/// Bytes in front of the questions.
const HEADER: usize = 12;
/// Longest part of a name, and most parts of one.
const LABEL_BYTES: usize = 63;
const LABELS: usize = 127;

/// The only question of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// In lower case, without a final dot.
    name: String,
    /// Type of the record asked for.
    kind: u16,
    /// Where the question ends in the packet.
    end: usize,
}

/// True for a whole header of an ordinary query: no answer, and no update or notification.
pub(super) fn is_query(packet: &[u8]) -> bool {
    packet.len() >= HEADER && packet[2] & 0xf8 == 0
}

/// Reads the question of a query that has just one.
pub(super) fn read(packet: &[u8]) -> Option<Question> {
    if !is_query(packet) || packet[4..6] != [0, 1] {
        return None;
    }
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let len = usize::from(*packet.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        // Compression has no place in a question.
        if len > LABEL_BYTES || labels.len() == LABELS {
            return None;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + len)?).to_ascii_lowercase());
        at += len;
    }
    let end = at + 4;
    let kind = packet.get(at..end)?;
    Some(Question {
        name: labels.join("."),
        kind: u16::from_be_bytes([kind[0], kind[1]]),
        end,
    })
}

impl Question {
    /// True for the domain itself and for names below it.
    pub(super) fn is_below(&self, domain: &str) -> bool {
        let rest = self.name.strip_suffix(domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

/// An authoritative answer: the address for A, nothing for other types.
pub(super) fn own_answer(packet: &[u8], asked: &Question, address: Ipv4Addr) -> Vec<u8> {
    let mut out = packet[..asked.end].to_vec();
    // Response, authoritative, recursion as asked and available; no error.
    out[2] = 0x84 | packet[2] & 0x01;
    out[3] = 0x80;
    let answers = u8::from(asked.kind == A || asked.kind == ANY);
    out[6..HEADER].copy_from_slice(&[0, answers, 0, 0, 0, 0]);
    if answers == 1 {
        // Name by pointer, type A, class IN, 5 s, 4 bytes.
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        out.extend(address.octets());
    }
    out
}

/// SERVFAIL for a query, with its question where it has just one.
pub(super) fn failure(packet: &[u8]) -> Vec<u8> {
    let question = read(packet);
    let end = question.as_ref().map_or(HEADER, |question| question.end);
    let mut out = packet[..end].to_vec();
    out[2] |= 0x80;
    out[3] = 0x82;
    out[4..HEADER].fill(0);
    out[5] = u8::from(question.is_some());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            packet.push(label.len() as u8);
            packet.extend(label.as_bytes());
        }
        packet.push(0);
        packet.extend(kind.to_be_bytes());
        packet.extend([0, 1]);
        packet
    }

    fn asked(name: &str) -> Question {
        read(&query(name, A)).unwrap()
    }

    #[test]
    fn questions_are_read() {
        let packet = query("App.Bloomery.localhost", A);
        let expected = Question {
            name: "app.bloomery.localhost".into(),
            kind: A,
            end: packet.len(),
        };
        assert_eq!(read(&packet), Some(expected));
        for cut in 0..packet.len() {
            assert!(read(&packet[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn only_ordinary_queries_are_handed_on() {
        let packet = query("app.x", A);
        assert!(is_query(&packet) && !is_query(&packet[..11]) && !is_query(&[]));
        for flags in [0x80, 0x20, 0x28] {
            let mut other = packet.clone();
            other[2] |= flags;
            assert!(!is_query(&other) && read(&other).is_none(), "{flags:x}");
        }
    }

    #[test]
    fn names_of_the_platform_lead_to_the_gateway() {
        let packet = query("app.x", A);
        let answer = own_answer(&packet, &asked("app.x"), Ipv4Addr::new(10, 254, 0, 1));
        assert_eq!(answer[..2], [0xab, 0xcd]);
        assert_eq!(answer[7], 1);
        assert!(answer.ends_with(&[10, 254, 0, 1]));
        let packet = query("app.x", 28);
        let none = own_answer(&packet, &read(&packet).unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(none.len(), packet.len());
    }

    #[test]
    fn a_failure_counts_the_questions_it_repeats() {
        let mut packet = query("app.x", A);
        assert_eq!(failure(&packet)[3..6], [0x82, 0, 1]);
        packet[5] = 2;
        assert_eq!(failure(&packet)[3..], [0x82, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn only_whole_labels_match() {
        assert!(asked("a.b.c").is_below("b.c") && asked("b.c").is_below("b.c"));
        assert!(!asked("ab.c").is_below("b.c") && !asked("c").is_below("b.c"));
    }
}
