//! Registrations, and requests between them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| router::fuzzed::registration(data));
