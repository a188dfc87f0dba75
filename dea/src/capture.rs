//! Small scripts run inside a container, their output read with a limit. Files of
//! an app are always read from inside: a symbolic link then leads nowhere the app
//! could not go itself.

use std::io::Read;
use std::os::fd::OwnedFd;

use warden::{Container, Output, Pipes, ProcessSpec};

/// Most bytes taken from a script's standard output.
const LIMIT: u64 = 1024 * 1024;
/// Lines of standard error kept as evidence.
const EVIDENCE_LINES: usize = 5;

/// Why a script gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It could not be run.
    #[error("{0}")]
    Warden(#[from] warden::Error),
    /// It ended with another status than 0.
    #[error("Script exited with status {status}{evidence}")]
    Status {
        /// Exit status.
        status: i32,
        /// `: last lines`, or empty.
        evidence: String,
    },
    /// Its output could not be read.
    #[error("reading the output: {0}")]
    Io(#[from] std::io::Error),
}

/// Runs a script as vcap and waits for it.
pub async fn run(container: &dyn Container, script: &str) -> Result<(), CaptureError> {
    finish(container, ProcessSpec::script(script), Pipes::default()).await
}

/// Runs a script whose standard output goes to `target`.
pub async fn run_into(
    container: &dyn Container,
    script: &str,
    target: OwnedFd,
) -> Result<(), CaptureError> {
    let pipes = Pipes {
        stdin: None,
        stdout: Some(target),
    };
    finish(container, ProcessSpec::script(script), pipes).await
}

/// The text of a file inside, at most 1 MiB of it.
pub async fn file(container: &dyn Container, path: &str) -> Result<String, CaptureError> {
    let script = format!("cat {}", crate::instance::script::quoted(path));
    output(container, &script).await
}

/// What a script prints on its standard output, at most 1 MiB of it.
pub async fn output(container: &dyn Container, script: &str) -> Result<String, CaptureError> {
    let sink = tempfile::tempfile()?;
    let mut reader = sink.try_clone()?;
    run_into(container, script, sink.into()).await?;
    std::io::Seek::rewind(&mut reader)?;
    let mut bytes = Vec::new();
    reader.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn finish(
    container: &dyn Container,
    spec: ProcessSpec,
    pipes: Pipes,
) -> Result<(), CaptureError> {
    let job = container.run(spec, pipes).await?;
    let exit = container.wait(&job).await?;
    if exit.code == 0 {
        return Ok(());
    }
    let evidence = last_lines(container, &job).await;
    Err(CaptureError::Status {
        status: exit.code,
        evidence,
    })
}

async fn last_lines(container: &dyn Container, job: &warden::JobId) -> String {
    let Ok(mut output) = container.attach(job, 1).await else {
        return String::new();
    };
    let mut lines: Vec<String> = Vec::new();
    while let Some(item) = output.recv().await {
        if let Output::Line { data, .. } = item {
            lines.push(String::from_utf8_lossy(&data).into_owned());
        }
    }
    let skip = lines.len().saturating_sub(EVIDENCE_LINES);
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", lines[skip..].join(" | "))
    }
}
