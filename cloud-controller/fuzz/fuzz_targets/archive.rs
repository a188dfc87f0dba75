//! A zip that somebody uploads. Only the files that read it are built: see `fuzzed.rs`.
#![no_main]
// The controller uses the rest.
#![allow(dead_code)]

#[path = "../../src/archive.rs"]
mod archive;
#[path = "../../src/archive_layout.rs"]
mod archive_layout;
#[path = "../../src/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::archive(data));
