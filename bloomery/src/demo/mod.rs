//! `bloomery demo`: the five-minute tour as a program. Every step prints its
//! seconds; a step that fails names itself, the cause and the log; a wrong body or
//! anything left behind makes the exit status non-zero.

pub(crate) mod cf;
mod faults;
mod leftovers;
pub(crate) mod load;
mod tour;

use std::path::PathBuf;
use std::time::Instant;

use crate::args::Demo;
use crate::error::Error;

pub use leftovers::Snapshot;

/// A failed demo.
fn failed(step: &str, cause: impl std::fmt::Display, log: &std::path::Path) -> Error {
    Error::Usage(format!(
        "demo step \"{step}\" failed: {cause}\nLogs: {}",
        log.display()
    ))
}

/// Prints a step's name, runs it, prints its seconds.
async fn step<T>(
    name: &str,
    work: impl Future<Output = Result<T, String>>,
    logs: &std::path::Path,
) -> Result<T, Error> {
    use std::io::Write;
    print!("{name:<58}");
    let _ = std::io::stdout().flush();
    let began = Instant::now();
    match work.await {
        Ok(done) => {
            say!("{:>7.1} s", began.elapsed().as_secs_f64());
            Ok(done)
        }
        Err(cause) => {
            say!(" FAILED");
            Err(failed(name, cause, logs))
        }
    }
}

/// Runs the tour in a directory of its own.
pub async fn run(flags: &Demo) -> Result<(), Error> {
    let data_dir = match &flags.data_dir {
        Some(dir) => dir.clone(),
        None => scratch()?,
    };
    let began = Instant::now();
    say!("Demo in {} (kept when a step fails)\n", data_dir.display());
    tour::run(&data_dir, &flags.apps).await?;
    say!("\nDemo passed in {:.1} s.", began.elapsed().as_secs_f64());
    Ok(())
}

fn scratch() -> Result<PathBuf, Error> {
    let dir = tempfile::Builder::new().prefix("bloomery-demo-").tempdir();
    let dir = dir.map_err(Error::file(
        "make a temporary directory in",
        std::env::temp_dir(),
    ))?;
    Ok(dir.keep())
}
