//! What a container sends to its resolver. Only the file that reads it is built: see `fuzzed.rs`.
#![no_main]

#[path = "../../src/dns/fuzzed.rs"]
mod fuzzed;
#[path = "../../src/dns/packet.rs"]
mod packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::question(data));
