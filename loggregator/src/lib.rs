//! App logs: intake, recent, streaming; mounted by the controller or run alone.
