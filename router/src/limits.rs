//! Bounds on outside input; docs/limits.md is made from this file.

/// Names in place of addresses in registrations, remembered with their answers. Beyond it: the one that was asked for longest ago is forgotten. Tested by: `names_and_what_waits_for_them_are_bounded`.
pub const NAMES: usize = 4096;

/// Registrations that wait for the first answer of one name. Beyond it: they are dropped, and come again with the next registration. Tested by: `names_and_what_waits_for_them_are_bounded`.
pub const WAITING_REGISTRATIONS: usize = 256;

/// Names that are looked up at a time. Beyond it: a name counts as not resolved and is asked for again five seconds later. Tested by: `silent_names_do_not_delay_other_registrations`.
pub const LOOKUPS: usize = 64;
