//! Host name in, app instance out.
