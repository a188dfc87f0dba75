//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

/// Log lines of one app that wait for the loggregator, as they go over the wire; fewer while many apps wait. Beyond it: the app's lines
/// wait in its ring on disk, where the oldest go first, and the log says how many; other apps notice nothing.
/// Tested by: `dea::logs::queue::tests::a_flood_fills_its_own_queue_only`.
pub const LOG_QUEUE_BYTES: usize = 512 * 1024;

/// Log lines of all apps of one DEA that wait for the loggregator. Beyond it: each app's queue gets its share of this, one line at
/// least.
/// Tested by: `dea::logs::queue::tests::many_apps_share_the_whole`.
pub const LOG_QUEUES_BYTES: usize = 32 * 1024 * 1024;

/// Log lines of one app that go in a row into one request. Beyond it: the next app's turn comes first.
/// Tested by: `dea::logs::queue::tests::apps_take_turns_in_a_batch`.
pub const LOG_TURN_BYTES: usize = 32 * 1024;

/// Lines of one request to the loggregator. Beyond it: they go with the next one.
/// Tested by: `dea::logs::queue::tests::a_batch_is_bounded_by_lines_and_bytes`.
pub const LOG_BATCH_LINES: usize = 512;

/// How long a staging that has ended waits for its log to be taken. Beyond it: the rest of the lines is counted, the count stands in
/// the log, and the staging goes on.
/// Tested by: `dea::logs::tests::what_cannot_be_shipped_in_time_is_counted`.
pub const STAGING_LOG_SECONDS: Duration = Duration::from_secs(5);

/// How long the output of an instance that has ended is kept for a loggregator that does not take it. Beyond it: the rest of the lines
/// is counted and the count stands in the log.
/// Tested by: `dea::logs::tests::what_cannot_be_shipped_in_time_is_counted`.
pub const INSTANCE_LOG_SECONDS: Duration = Duration::from_secs(30);

/// What a script in a container may print for the DEA to read. Beyond it: the rest is not read, and the script ends with a broken pipe.
/// Tested by: `dea::capture::tests::a_sink_takes_so_much_and_no_more`.
pub const CAPTURE_BYTES: u64 = 1024 * 1024;

/// A file of a container that the DEA reads for itself, such as `staging_info.yml`. Beyond it: the staging or the start fails and names
/// the file.
/// Tested by: `dea::capture::tests::a_text_has_a_size`.
pub const TEXT_BYTES: u64 = 1024 * 1024;

/// A file of an instance that is read through `cf files`. Beyond it: 413 with the size.
/// Tested by: `files::a_file_beyond_the_limit_is_refused_with_its_size`.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Entries of a directory of an instance that are listed through `cf files`. Beyond it: the list ends with a line that says so.
/// Tested by: `files::a_long_directory_is_listed_up_to_the_limit`.
pub const DIRECTORY_ENTRIES: usize = 10_000;

/// Files of one instance that are read through `cf files` at the same time. Beyond it: 503 until one of them is done.
/// Tested by: `files::one_instance_does_not_take_the_readers_of_others_and_reading_ends_with_its_client`.
pub const FILE_READERS: usize = 4;

/// A package, droplet, build cache or buildpack that the DEA downloads. Beyond it: the staging or the start fails and names the limit.
/// Tested by: `dea::transfer::tests::a_download_without_end_is_ended`.
pub const DOWNLOAD_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Routers that a DEA lets in. Beyond it: those that were silent for longest make room.
/// Tested by: `dea::routers::tests::the_table_of_routers_is_bounded`.
pub const ROUTERS: usize = 256;

/// Addresses of one router that a DEA takes from its greeting. Beyond it: the rest is not looked at.
/// Tested by: `dea::routers::tests::the_table_of_routers_is_bounded`.
pub const ROUTER_ADDRESSES: usize = 8;
