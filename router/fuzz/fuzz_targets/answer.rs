//! What an instance answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| router::fuzzed::answer(data));
