//! What the DEA takes out of a container: files, read from the host ([`Container::look`]), and the output of small scripts run
//! inside. All of it has a bound, and ends when nobody wants it any more: a script writes into a pipe, never into a file.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::unix::pipe::Receiver;
use warden::{Container, Inside, Output, Pipes, ProcessSpec};

use crate::limits::{CAPTURE_BYTES, TEXT_BYTES};

/// Lines of standard error kept as evidence.
const EVIDENCE_LINES: usize = 5;
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

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
    /// There is more than may be taken.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// `the output`, or the file's path.
        what: String,
        /// What may be taken.
        limit: u64,
    },
}

/// Runs a script as vcap and waits for it.
pub async fn run(container: &dyn Container, script: &str) -> Result<(), CaptureError> {
    let job = container
        .run(ProcessSpec::script(script), Pipes::default())
        .await?;
    ended(container, &job, container.wait(&job).await?).await
}

/// Runs a script and writes its standard output to `target`, `limit` bytes at most; returns how many there were. Beyond that, and
/// when the future is dropped, the pipe is closed under the script.
pub async fn run_into(
    container: &dyn Container,
    script: &str,
    target: &mut (impl AsyncWrite + Unpin + Send),
    limit: u64,
) -> Result<u64, CaptureError> {
    let (ours, theirs) = std::io::pipe()?;
    let mut sink = Sink::new(limit);
    let mut pipe = Receiver::from_owned_fd(ours.into())?;
    let pipes = Pipes {
        stdin: None,
        stdout: Some(theirs.into()),
    };
    let job = container.run(ProcessSpec::script(script), pipes).await?;
    let exit = {
        let mut ends = container.wait(&job);
        loop {
            tokio::select! {
                read = pipe.read(&mut sink.buffer) => match read? {
                    0 => break ends.await?,
                    n => sink.pass(n, target).await?,
                },
                exit = &mut ends => break exit?,
            }
        }
    };
    // Somebody inside may hold the other end for ever: only what is there already is read, past the runtime, which may not have
    // heard of it yet.
    let mut rest = std::fs::File::from(pipe.into_nonblocking_fd()?);
    loop {
        match rest.read(&mut sink.buffer) {
            Ok(0) => break,
            Ok(n) => sink.pass(n, target).await?,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    target.flush().await?;
    ended(container, &job, exit).await?;
    Ok(sink.taken)
}

/// Counts what passes.
struct Sink {
    buffer: Vec<u8>,
    taken: u64,
    limit: u64,
}

impl Sink {
    fn new(limit: u64) -> Self {
        Self {
            buffer: vec![0; CHUNK],
            taken: 0,
            limit,
        }
    }

    async fn pass(
        &mut self,
        n: usize,
        target: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), CaptureError> {
        self.taken += n as u64;
        if self.taken > self.limit {
            return Err(CaptureError::TooLarge {
                what: "the output".into(),
                limit: self.limit,
            });
        }
        Ok(target.write_all(&self.buffer[..n]).await?)
    }
}

/// The text of a file inside.
pub async fn file(container: &dyn Container, path: &str) -> Result<String, CaptureError> {
    match container.look(path, 0).await? {
        Inside::File { file, .. } => text_of(file, path).await,
        Inside::Directory { .. } => Err(CaptureError::Warden(warden::Error::Unreadable {
            path: path.to_owned(),
            why: warden::Unreadable::Kind("a directory"),
        })),
    }
}

/// Beyond the bound the size does not matter: the file may grow, and a hole has no end in sight.
async fn text_of(file: std::fs::File, path: &str) -> Result<String, CaptureError> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.take(TEXT_BYTES + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    let bytes = read.await.map_err(std::io::Error::other)??;
    if bytes.len() as u64 > TEXT_BYTES {
        return Err(CaptureError::TooLarge {
            what: path.to_owned(),
            limit: TEXT_BYTES,
        });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a script prints on its standard output.
pub async fn output(container: &dyn Container, script: &str) -> Result<String, CaptureError> {
    let mut bytes = Vec::new();
    run_into(container, script, &mut bytes, CAPTURE_BYTES).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn ended(
    container: &dyn Container,
    job: &warden::JobId,
    exit: warden::Exit,
) -> Result<(), CaptureError> {
    if exit.code == 0 {
        return Ok(());
    }
    let evidence = last_lines(container, job).await;
    Err(CaptureError::Status {
        status: exit.code,
        evidence,
    })
}

async fn last_lines(container: &dyn Container, job: &warden::JobId) -> String {
    let Ok(mut output) = container.attach(job, 1).await else {
        return String::new();
    };
    let mut lines: VecDeque<String> = VecDeque::new();
    while let Some(item) = output.recv().await {
        if let Output::Line { data, .. } = item {
            lines.push_back(String::from_utf8_lossy(&data).into_owned());
            if lines.len() > EVIDENCE_LINES {
                lines.pop_front();
            }
        }
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", Vec::from(lines).join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sink_takes_so_much_and_no_more() {
        for (sent, is_taken) in [(99, true), (100, true), (101, false), (10_000, false)] {
            let mut sink = Sink::new(100);
            let mut target = Vec::new();
            let mut left = sent;
            let mut passed = Ok(());
            while left > 0 && passed.is_ok() {
                let n = left.min(50);
                passed = sink.pass(n, &mut target).await;
                left -= n;
            }
            assert_eq!(passed.is_ok(), is_taken, "{sent}");
            assert!(target.len() <= 100, "{sent}: {}", target.len());
        }
    }

    #[tokio::test]
    async fn a_text_has_a_size() {
        for (size, is_read) in [
            (TEXT_BYTES, true),
            (TEXT_BYTES + 1, false),
            (100 * TEXT_BYTES, false),
        ] {
            let file = tempfile::tempfile().expect("a file");
            file.set_len(size).expect("a hole");
            let text = text_of(file, "x.yml").await;
            assert_eq!(text.is_ok(), is_read, "{size}");
            if let Err(error) = text {
                assert_eq!(error.to_string(), "x.yml is larger than 1048576 bytes");
            }
        }
    }
}
