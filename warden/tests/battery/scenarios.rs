//! Attempts on the host's side.

pub(crate) fn copies_binds_and_logs_stay_where_they_belong() {}
