//! Bounds on outside input; docs/limits.md is made from this file.

/// One request of log lines. Beyond it: 413, before the rest of the body is read; DEAs stay far below it.
/// Tested by: `loggregator::http::tests::the_intake_takes_what_fits_and_no_more`.
pub const LOG_INTAKE_BYTES: usize = 8 * 1024 * 1024;

/// The text of one log line. Beyond it: cut at a character, with the mark ` [cut]`.
/// Tested by: `bus::log::tests::a_message_is_cut_beyond_its_limit_at_a_character_and_marked`.
pub const LOG_MESSAGE_BYTES: usize = 64 * 1024;

// Both ends of the wire agree.
const _: () = assert!(
    LOG_INTAKE_BYTES == bus::log::INTAKE_BYTES && LOG_MESSAGE_BYTES == bus::log::MESSAGE_BYTES
);
