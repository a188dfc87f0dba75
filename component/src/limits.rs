//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

/// Open connections of one listener. Beyond it: the oldest connection without a request is closed, else the new one. Tested by: `serve::tests::silent_connections_do_not_keep_others_out`.
pub const LISTENER_CONNECTIONS: usize = 8_192;

/// Connections of one listener as a part of the process's descriptors: one in so many. Beyond it: as for the connections of a listener. Tested by: `serve::tests::the_connections_of_a_listener_fit_the_descriptors`.
pub const LISTENER_DESCRIPTOR_PARTS: usize = 4;

/// Open connections of one listener from one address (IPv6: one /64) that is neither this host nor a trusted forwarder. Beyond it: its oldest connection without a request is closed, else the new one. Tested by: `serve::seats::tests::an_address_at_its_cap_hurts_itself_only`.
pub const ADDRESS_CONNECTIONS: usize = 256;

/// Open connections of one listener from this host or a trusted forwarder: behind a router all clients have its address. Beyond it: as for any address. Tested by: `serve::seats::tests::this_host_and_forwarders_have_a_larger_share`.
pub const FORWARDER_CONNECTIONS: usize = 6_144;

/// Time from a connection's beginning to its first whole request head, whatever was sent of it: nothing, half a head, half an HTTP/2 preface. Beyond it: the connection is closed. Tested by: `serve::tests::whoever_begins_and_does_not_go_on_is_let_go`.
pub const FIRST_REQUEST_SECONDS: Duration = Duration::from_secs(15);

/// Time an HTTP/1 connection may take for each further request head. Beyond it: the connection is closed. Tested by: `serve::tests::whoever_begins_and_does_not_go_on_is_let_go`.
pub const HEADER_SECONDS: Duration = Duration::from_secs(15);

/// Time a connection may stay open without a request in flight. Beyond it: the connection is closed. Tested by: `serve::tests::an_idle_http2_connection_is_let_go`.
pub const IDLE_SECONDS: Duration = Duration::from_secs(75);

/// Time in which a request body must bring a further piece. Beyond it: the body ends with an error, which the endpoint answers. Tested by: `serve::body::tests::a_body_that_stands_still_is_an_error`.
pub const BODY_PROGRESS_SECONDS: Duration = Duration::from_secs(30);

/// How long a piece of a request body must be to count as progress, in sum over the time given for it. Beyond it: a body that brings less ends with an error. Tested by: `serve::body::tests::a_body_that_drips_is_an_error`.
pub const BODY_PROGRESS_BYTES: usize = 1_024;

/// Time a client may leave what it is sent untaken. Beyond it: the connection is closed. Tested by: `serve::tests::whoever_takes_no_answer_is_let_go`.
pub const SEND_STALL_SECONDS: Duration = Duration::from_secs(60);

/// Requests at the same time on one HTTP/2 connection. Beyond it: the stream is refused (REFUSED_STREAM). Tested by: `serve::tests::an_idle_http2_connection_is_let_go`.
pub const HTTP2_STREAMS: u32 = 128;

/// Addresses of `X-Forwarded-For` that are looked at, from the right. Beyond it: the request counts as the forwarder's own. Tested by: `forwarders::tests::a_long_chain_is_the_forwarders_own`.
pub const FORWARDED_ADDRESSES: usize = 32;
