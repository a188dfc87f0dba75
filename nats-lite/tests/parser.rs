//! Any split of the bytes yields the same operations.
#![allow(clippy::unwrap_used)]

use nats_lite::protocol::{Op, Parser, ProtocolError, Step};
use proptest::prelude::*;

const PARSER: Parser = Parser {
    max_control_line: 128,
    max_payload: 64,
};

/// What a run over some input saw, with a final error if there was one.
type Seen = (Vec<String>, Option<ProtocolError>);

fn drain(pending: &mut Vec<u8>, seen: &mut Seen) {
    let mut used = 0;
    while used < pending.len() && seen.1.is_none() {
        match PARSER.next(&pending[used..]) {
            Ok(Step::Op(op, length)) => {
                seen.0.push(format!("{op:?}"));
                used += length;
            }
            Ok(Step::Incomplete(needed)) => {
                assert!(needed > pending.len() - used, "asks for bytes it has");
                break;
            }
            Err(error) => seen.1 = Some(error),
        }
    }
    pending.drain(..used);
}

fn run(pieces: &[&[u8]]) -> Seen {
    let mut seen = (Vec::new(), None);
    let mut pending = Vec::new();
    for piece in pieces {
        pending.extend_from_slice(piece);
        drain(&mut pending, &mut seen);
    }
    seen
}

fn operation() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        Just(b"PING\r\n".to_vec()),
        Just(b"PONG\n".to_vec()),
        Just(b"CONNECT {\"verbose\":false}\r\n".to_vec()),
        Just(b"UNSUB 4 10\r\n".to_vec()),
        "(sub|SUB) [a-z.*>]{1,9} {1,3}(q )?[0-9]{1,3}\r\n".prop_map(String::into_bytes),
        payload
            .clone()
            .prop_map(|body| frame(&format!("PUB a.b {}", body.len()), &body)),
        payload.prop_map(|body| frame(
            &format!("HPUB a r {} {}", body.len() / 2, body.len()),
            &body
        )),
        prop::collection::vec(any::<u8>(), 1..20),
    ]
}

fn frame(line: &str, body: &[u8]) -> Vec<u8> {
    [line.as_bytes(), b"\r\n", body, b"\r\n"].concat()
}

proptest! {
    #[test]
    fn any_split_yields_the_same_operations(operations in prop::collection::vec(operation(), 1..12), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
        let input = operations.concat();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).chain([0, input.len()]).collect();
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(&pieces), run(&[&input]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        run(&[&input]);
    }

    #[test]
    fn every_byte_alone_yields_the_same_operations(operations in prop::collection::vec(operation(), 1..6)) {
        let input = operations.concat();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(run(&bytes), run(&[&input]));
    }
}

#[test]
fn a_session_reads_as_its_operations() {
    let (seen, error) = run(&[b"CONNECT {}\r\nSUB a.* q 1\r\nPUB a.b r 2\r\nhi\r\nPING\r\n"]);
    let message = nats_lite::protocol::Publish {
        subject: b"a.b",
        reply: Some(b"r"),
        header_len: None,
        body: b"hi",
        verbatim: Some(b"r 2\r\nhi\r\n"),
    };
    let expected = [
        Op::Connect(b"{}"),
        Op::Subscribe {
            subject: b"a.*",
            queue: Some(b"q"),
            sid: b"1",
        },
        Op::Publish(message),
        Op::Ping,
    ];
    assert_eq!(
        (seen, error),
        (expected.iter().map(|op| format!("{op:?}")).collect(), None)
    );
}
