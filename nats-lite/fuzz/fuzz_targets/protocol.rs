//! What a client sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nats_lite::fuzzed::protocol(data));
