//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

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

/// Time after which a stream's reader is asked about again: whether its token was revoked, and whether it still may read the app. Beyond it: the stream ends with the reason. Tested by: `http::tests::a_stream_ends_when_its_reader_may_not_read_any_more`.
pub const STREAM_ASK_SECONDS: Duration = Duration::from_secs(10);

/// Times in a row that nobody answers whether a stream's reader still may read. Beyond it: the stream ends with the reason. Tested by: `http::tests::a_stream_outlives_a_controller_that_is_away_for_a_moment_only`.
pub const STREAM_UNANSWERED_TRIES: usize = 6;

/// Time a stream may outlive the token it was opened with, as long as that is not revoked. Beyond it: the stream ends with the reason. Tested by: `streams::a_stream_outlives_its_token_and_not_its_revocation`.
pub const STREAM_OUTLIVES_TOKEN_SECONDS: Duration = Duration::from_secs(86_400);
