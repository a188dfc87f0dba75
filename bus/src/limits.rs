//! Bounds on outside input; docs/limits.md is made from this file.

/// One line of the protocol that a server sends, INFO with its list of addresses included. Beyond it: the connection is given up and made again. Tested by: `a_line_without_an_end_is_refused`.
pub const SERVER_LINE_BYTES: usize = 1024 * 1024;

/// One message, headers included. Beyond it: it is passed over without being kept, counted and logged. Tested by: `a_message_beyond_the_limit_is_passed_over`.
pub const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Messages of one subscription that wait for their reader. Beyond it: new ones are dropped, counted and logged. Tested by: `a_reader_that_sleeps_loses_what_exceeds_its_backlog`.
pub const BACKLOG_BYTES: usize = 128 * 1024 * 1024;

/// Bytes that wait to be written to the server. Beyond it: whoever publishes waits. Tested by: `publishers_wait_while_the_server_does_not_read`.
pub const OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// Addresses that a server may add to the configured ones. Beyond it: they are ignored. Tested by: `announced_servers_are_bounded`.
pub const ANNOUNCED_SERVERS: usize = 64;

/// A subject that is published or subscribed to. Beyond it: an error, nothing is sent. Tested by: `subjects_that_would_break_the_protocol_are_refused`.
pub const SUBJECT_BYTES: usize = 3 * 1024;
