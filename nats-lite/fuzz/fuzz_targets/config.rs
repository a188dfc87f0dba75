//! A configuration file in the syntax of nats-server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nats_lite::fuzzed::config(data));
