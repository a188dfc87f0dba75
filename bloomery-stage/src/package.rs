//! Unpacking the app package. The controller has checked it already; what runs
//! here runs as the app's own user, and still refuses what leads out.

use std::path::Path;

use crate::archive::{self, Bounds};
use crate::error::StageError;

/// The container's disk limit is the real one.
const BOUNDS: Bounds = Bounds {
    bytes: 1 << 40,
    entries: 1_000_000,
};

/// Unpacks `zip` into `target`, keeping executable bits.
pub fn unpack(zip: &Path, target: &Path) -> Result<usize, StageError> {
    archive::unpack(zip, target, BOUNDS).map_err(|e| StageError::BadPackage(e.to_string()))
}
