//! What a server of the bus sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bus::fuzzed::stream(data));
