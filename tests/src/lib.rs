//! Stories about the platform as a whole.
pub mod binaries;
