//! `bloomery stack build`: the root file system `debian12` from Debian packages, with
//! the host's own apt sources. `bloomery stack import`: one made elsewhere, from its
//! tar. And what `up` finds of both.
//!
//! ```text
//! OUT/NAME/receipt.json   what it is: packages, digest, recipe
//!         /SHA1/          the root file system, named by the digest of its tar
//!         /work/          of a build under way: fetched packages, build.log
//! ```
//! A build that was interrupted goes on with the packages it has; one whose receipt
//! says the same recipe is not repeated.

pub mod profile;
pub mod receipt;
pub mod recipe;

pub mod apt;
pub mod bootstrap;
pub mod digest;
pub mod host;
pub mod progress;
pub mod sources;

pub mod offered;

mod build;
mod error;
mod import;
mod shape;
mod shelf;

pub use build::build;
pub use error::StackError;
pub use import::import;

/// The stack's name.
pub const NAME: &str = "debian12";
/// Debian's name of the release.
pub const RELEASE: &str = "bookworm";
