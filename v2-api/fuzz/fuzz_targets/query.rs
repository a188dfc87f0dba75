//! The query string of a list.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| v2_api::fuzzed::query(data));
