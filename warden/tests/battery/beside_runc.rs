//! The same attempts under runc.

pub(crate) fn blocks_all_that_runc_blocks() {}
