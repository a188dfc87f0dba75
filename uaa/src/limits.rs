//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

/// One request body. Beyond it: 413, before the body is read further. Tested by: `limits::a_body_beyond_the_limit_is_refused`.
pub const BODY_BYTES: usize = 64 * 1024;

/// A login name. Beyond it: 400 for a new user; nobody can log in with such a name. Tested by: `limits::a_name_beyond_the_limit_is_refused`.
pub const NAME_BYTES: usize = 255;

/// A group's name, which becomes a scope. Beyond it: 400. Tested by: `limits::a_group_beyond_the_limit_is_refused`.
pub const GROUP_NAME_BYTES: usize = 255;

/// Alternatives in one filter. Beyond it: 400. Tested by: `filter::tests::more_terms_than_the_limit_are_refused`.
pub const FILTER_TERMS: usize = 200;

/// Attempts at one account's password that end in no login, existing or not. Beyond it: 401 with a text that says for how long, the same for all names. Tested by: `guesses::of_many_guesses_at_once_no_more_are_tested_than_the_lock_allows`.
pub const ACCOUNT_ATTEMPTS: u32 = 5;

/// Time an account stays locked, and after which attempts are forgotten. Beyond it: the account is open again. Tested by: `lockout::tests::the_last_attempt_locks_for_its_time`.
pub const ACCOUNT_LOCK_SECONDS: Duration = Duration::from_secs(300);

/// Addresses whose failed logins are remembered one by one. Beyond it: further ones are counted together. Tested by: `rate::tests::addresses_beyond_the_bound_are_counted_together`.
pub const REMEMBERED_ADDRESSES: usize = 10_000;

/// Requests of one address that wait because others of it are being tested. Beyond it: 429 with Retry-After. Tested by: `gate::tests::beyond_the_waiting_an_address_is_refused`.
pub const ADDRESS_WAITING_REQUESTS: usize = 64;

/// Passwords that are hashed at the same time; each takes 19 MiB and a core. Beyond it: they wait in turn. Tested by: `turns::tests::no_more_run_at_once_than_may`.
pub const PARALLEL_HASHES: usize = 2;

/// Passwords that wait to be hashed. Beyond it: 429 with Retry-After, for whoever has most waiting. Tested by: `turns::tests::a_full_queue_refuses_whoever_has_most_in_it`.
pub const WAITING_HASHES: usize = 256;

/// Passwords of one address that wait to be hashed. Beyond it: 429 with Retry-After. Tested by: `turns::tests::one_address_fills_its_own_part_only`.
pub const ADDRESS_WAITING_HASHES: usize = 64;

/// Time after which somebody who found no place may try again. Beyond it: nothing, it is only said. Tested by: `turns::tests::a_full_queue_refuses_whoever_has_most_in_it`.
pub const RETRY_SECONDS: Duration = Duration::from_secs(5);

/// Time in which an authorization code is exchanged. Beyond it: 400 invalid_grant. Tested by: `codes::a_code_is_of_no_use_to_another_client_or_for_another_address`.
pub const CODE_SECONDS: Duration = Duration::from_secs(300);

/// Users in one answer. Beyond it: the others are left out. Tested by: `store::users::tests::a_list_of_users_is_bounded`.
pub const LISTED_USERS: usize = 500;
