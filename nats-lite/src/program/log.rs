//! Log lines in the form of `nats-server`: `[pid] 2026/11/21 22:52:45.060659 [INF] text`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::config::Config;

/// Where lines go: a file that can be opened anew, or standard error.
#[derive(Clone)]
pub(super) struct LogFile {
    open: Option<(PathBuf, Arc<Mutex<File>>)>,
}

impl LogFile {
    fn new(path: Option<&Path>) -> io::Result<Self> {
        let open = |path: &Path| {
            let file = append_to(path)?;
            Ok((path.to_owned(), Arc::new(Mutex::new(file))))
        };
        let open: io::Result<_> = path.map(open).transpose();
        Ok(Self { open: open? })
    }

    /// Opens the file again under its name: whoever rotates logs has moved the old one away.
    pub(super) fn reopen(&self) {
        let Some((path, file)) = &self.open else {
            return;
        };
        match append_to(path) {
            Ok(fresh) => *file.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = fresh,
            Err(error) => tracing::error!(
                "cannot open {} anew: {error}; logging goes on into the old file",
                path.display()
            ),
        }
        tracing::info!("File log re-opened");
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

/// One line on its way.
pub(super) struct Line(LogFile);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0.open {
            Some((_, file)) => {
                let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                file.write_all(bytes)?;
            }
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.clone())
    }
}

/// Installs the log of this process.
pub(super) fn install(config: &Config) -> anyhow::Result<LogFile> {
    let level = match (config.trace, config.debug) {
        (true, _) => Level::TRACE,
        (_, true) => Level::DEBUG,
        _ => Level::INFO,
    };
    let file = LogFile::new(config.log_file.as_deref())
        .context("cannot open the log file; check that its directory exists and is writable")?;
    tracing_subscriber::fmt()
        .event_format(Form)
        .with_writer(file.clone())
        .with_max_level(level)
        .init();
    Ok(file)
}

struct Form;

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = chrono::Local::now().format("%Y/%m/%d %H:%M:%S%.6f");
        let label = label(*event.metadata().level());
        write!(writer, "[{}] {now} [{label}] ", std::process::id())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn label(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERR",
        Level::WARN => "WRN",
        Level::INFO => "INF",
        Level::DEBUG => "DBG",
        Level::TRACE => "TRC",
    }
}
