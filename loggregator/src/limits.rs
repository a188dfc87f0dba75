//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

/// One batch of log lines. Beyond it: 413, before the body is read further. Tested by: `http::tests::a_batch_beyond_the_limit_is_refused`.
pub const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Time after which a stream's reader is asked about again: whether its token was revoked, and whether it still may read the app. Beyond it: the stream ends with the reason. Tested by: `http::tests::a_stream_ends_when_its_reader_may_not_read_any_more`.
pub const STREAM_ASK_SECONDS: Duration = Duration::from_secs(10);

/// Times in a row that nobody answers whether a stream's reader still may read. Beyond it: the stream ends with the reason. Tested by: `http::tests::a_stream_outlives_a_controller_that_is_away_for_a_moment_only`.
pub const STREAM_UNANSWERED_TRIES: usize = 6;

/// Time a stream may outlive the token it was opened with, as long as that is not revoked. Beyond it: the stream ends with the reason. Tested by: `streams::a_stream_outlives_its_token_and_not_its_revocation`.
pub const STREAM_OUTLIVES_TOKEN_SECONDS: Duration = Duration::from_secs(86_400);
