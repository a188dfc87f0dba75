//! Stories about the platform as a whole, and the vocabulary they are written in.
//!
//! [`sim`] runs the platform's pure decisions on a virtual clock, with faults
//! drawn from a seed; [`binaries`] drives the real programs and containers. The
//! stories themselves are the files in `tests/`.

pub mod binaries;
pub mod sim;
