//! cf: what app developers type.
