//! A shell on a terminal: the operator's keys in, the container's answers out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::sys::{At, pty};
use crate::{Container, JobId, ProcessSpec, Result, User, WindowSize};

/// Without a terminal on our side.
const USUAL: WindowSize = WindowSize {
    rows: 24,
    columns: 80,
};
/// How long output is waited for after the shell's end: a child left behind may
/// keep the terminal open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs it to its end; the code to exit with.
pub(super) async fn run(container: &Arc<dyn Container>, user: User) -> Result<u8> {
    let size = pty::size_of_terminal(&io::stdin()).unwrap_or(USUAL);
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
    let spec = ProcessSpec {
        argv: vec!["/bin/bash".into(), "-i".into()],
        env: vec![("TERM".into(), term)],
        dir: None,
        user,
        nofile: None,
    };
    let (job, terminal) = container.run_on_terminal(spec, size).await?;
    let terminal = File::from(terminal);
    let _raw = pty::RawTerminal::enter(0);
    let keys = terminal.try_clone().at("dup of the terminal")?;
    // Ends with this program: reading keys cannot be interrupted.
    std::thread::spawn(move || pour(io::stdin(), keys));
    let output = terminal.try_clone().at("dup of the terminal")?;
    let (over, ended) = oneshot::channel();
    std::thread::spawn(move || {
        pour(output, io::stdout());
        // Nobody waits any more when the shell ended long ago.
        let _ = over.send(());
    });
    let code = follow(container, &job, &terminal).await?;
    let _ = tokio::time::timeout(LAST_WORDS, ended).await;
    Ok(code)
}

/// Waits for the shell's end and hands on new sizes of the window.
async fn follow(container: &Arc<dyn Container>, job: &JobId, terminal: &File) -> Result<u8> {
    let mut resized = signal(SignalKind::window_change()).at("watch SIGWINCH")?;
    let end = container.wait(job);
    tokio::pin!(end);
    loop {
        tokio::select! {
            exit = &mut end => return Ok(u8::try_from(exit?.code).unwrap_or(255)),
            _ = resized.recv() => {
                if let Some(size) = pty::size_of_terminal(&io::stdin()) {
                    pty::resize(terminal, size).at("resize the terminal")?;
                }
            }
        }
    }
}

/// Copies piece by piece until either side ends (EIO: the last program left the terminal).
fn pour(mut from: impl Read, mut to: impl Write) {
    let mut buf = [0u8; 4096];
    while let Ok(n) = from.read(&mut buf) {
        if n == 0 || to.write_all(&buf[..n]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
