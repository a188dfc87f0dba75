//! Bounds on outside input; docs/limits.md is made from this file.

/// Resources of one page of a list. Beyond it: 400 / 10005. Tested by: `query::tests::pages_levels_conditions_and_values_are_counted`.
pub const PAGE_RESOURCES: u32 = 100;
/// Relations embedded in each other in one answer (`inline-relations-depth`). Beyond it: 400 / 10005. Tested by: `query::tests::pages_levels_conditions_and_values_are_counted`.
pub const EMBEDDED_LEVELS: u32 = 3;
/// Conditions in the `q` of one request. Beyond it: 400 / 10005. Tested by: `query::tests::pages_levels_conditions_and_values_are_counted`.
pub const CONDITIONS: usize = 32;
/// Values of one `IN` of such a condition. Beyond it: 400 / 10005. Tested by: `query::tests::pages_levels_conditions_and_values_are_counted`.
pub const IN_VALUES: usize = 500;
