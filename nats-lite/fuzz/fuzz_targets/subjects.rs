//! Subjects, permissions and the index of subscriptions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nats_lite::fuzzed::subjects(data));
