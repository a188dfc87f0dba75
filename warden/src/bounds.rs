//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

/// Connections to the DNS forwarder that one container holds at once. Beyond it: its oldest one is closed.
/// Tested by: `warden::dns::places::tests::a_container_has_its_own_budget`.
pub const DNS_CONTAINER_CONNECTIONS: usize = 16;

/// Connections to the DNS forwarder of all containers at once. Beyond it: the oldest one of the container that holds most is closed.
/// Tested by: `warden::dns::places::tests::whoever_holds_most_makes_room`.
pub const DNS_CONNECTIONS: usize = 256;

/// Questions by UDP that one container has under way at once. Beyond it: its oldest one is given up; resolvers ask again.
/// Tested by: `warden::dns::places::tests::a_container_has_its_own_budget`.
pub const DNS_CONTAINER_QUESTIONS: usize = 64;

/// Questions by UDP of all containers under way at once. Beyond it: the oldest one of the container that has most is given up.
/// Tested by: `warden::dns::places::tests::whoever_holds_most_makes_room`.
pub const DNS_QUESTIONS: usize = 512;

/// Packets and new connections per second from one container to the DNS forwarder. Beyond it: the packet filter drops them; resolvers
/// ask again.
/// Tested by: `linux::network::a_flood_of_questions_leaves_others_their_names`.
pub const DNS_CONTAINER_PACKETS: u32 = 500;

/// How long a container may take to send its question over a connection. Beyond it: the connection is closed.
/// Tested by: `warden::dns::tests::silence_ends_a_connection`.
pub const DNS_QUESTION_SECONDS: Duration = Duration::from_secs(3);
