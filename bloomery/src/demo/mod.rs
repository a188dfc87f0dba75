//! The tour.

use crate::args::Demo;
use crate::error::Error;

/// Runs it.
pub async fn run(_flags: &Demo) -> Result<(), Error> {
    Ok(())
}
