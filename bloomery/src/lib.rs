//! The whole platform from one command. `bloomery up` writes a configuration for
//! every daemon into one data directory and supervises the separate programs found
//! beside its own: what is demonstrated is what is deployed. It depends on no
//! daemon's crate.
//!
//! Nothing is lost with the supervisor: daemons run in sessions of their own, and
//! the next `up`, `status` or `down` finds them by pid, start time and program.

/// Prints a line. A reader that closed the pipe (`bloomery status | head`) has
/// read enough; that is no reason to panic.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

pub mod args;
pub mod error;

pub mod layout;
pub mod settings;

pub mod components;
pub mod configs;

pub mod identity;
pub mod state;
pub mod supervisor;

pub mod down;
pub mod logs;
pub mod status;
pub mod up;

pub mod stack;

pub mod bench;
pub mod demo;

pub use error::Error;
