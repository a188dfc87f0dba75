//! Stories about the platform as a whole.
