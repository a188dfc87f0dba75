//! Fetching packages with the host's apt, in a state of its own: the host's lists and
//! installed packages are neither used nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::StackError;
use super::host;
use super::profile::Profile;
use super::progress::{Progress, mb};
use super::sources::Sources;

/// apt with a private state below `work`.
#[derive(Debug)]
pub struct Apt {
    work: PathBuf,
}

/// One package to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// File name in the archive directory.
    pub file: String,
    /// Bytes.
    pub size: u64,
}

impl Apt {
    /// Prepares the state.
    pub fn prepare(work: &Path, sources: &Sources) -> Result<Self, StackError> {
        let apt = Self { work: work.into() };
        for dir in ["state/lists/partial", "cache/archives/partial", "sources.d"] {
            let dir = work.join(dir);
            fs::create_dir_all(&dir).map_err(StackError::file("make the directory", dir))?;
        }
        let mut files = vec![
            (work.join("state/status"), ""),
            (work.join("no-sources"), ""),
        ];
        let copies = sources.iter().map(|(file, text)| {
            let name = file.file_name().unwrap_or_default();
            (work.join("sources.d").join(name), text.as_str())
        });
        files.extend(copies);
        for (path, text) in files {
            fs::write(&path, text).map_err(StackError::file("write", path))?;
        }
        Ok(apt)
    }

    /// Where fetched packages are.
    pub fn archives(&self) -> PathBuf {
        self.work.join("cache/archives")
    }

    fn command(&self) -> Command {
        let mut command = host::command("apt-get");
        let at = |key: &str, name: &str| format!("{key}={}", self.work.join(name).display());
        for option in [
            at("Dir::State", "state"),
            at("Dir::State::status", "state/status"),
            at("Dir::Cache", "cache"),
            at("Dir::Etc::SourceList", "no-sources"),
            at("Dir::Etc::SourceParts", "sources.d"),
            "APT::Install-Recommends=false".into(),
            // Its unprivileged user may not be able to enter the directory.
            "APT::Sandbox::User=root".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command.arg("-qq").arg("-y").stdin(Stdio::null());
        command
    }

    /// Reads the package lists.
    pub fn update(&self) -> Result<(), StackError> {
        let mut command = self.command();
        command.arg("update");
        self.finish("reading the package lists", command)
    }

    fn install(&self, flag: &str, profile: Profile) -> Command {
        let mut command = self.command();
        command
            .args([flag, "install", "?essential", "apt"])
            .args(profile.packages());
        command
    }

    /// Everything that the profile brings along.
    pub fn plan(&self, profile: Profile) -> Result<Vec<Wanted>, StackError> {
        // Without packages at hand, so that those fetched before are counted too.
        let mut command = self.install("--print-uris", profile);
        command.arg("-o").arg(format!(
            "Dir::Cache::archives={}",
            self.work.join("state").display()
        ));
        let output = command
            .output()
            .map_err(StackError::file("run", "apt-get"))?;
        if !output.status.success() {
            let tail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(self.failed("choosing the packages", &output.status, tail));
        }
        Ok(parse_uris(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Fetches what is missing, and tells how far it is.
    pub fn fetch(&self, profile: Profile, wanted: &[Wanted]) -> Result<(), StackError> {
        let total = wanted.iter().map(|w| w.size).sum();
        let mut progress = Progress::of(total);
        // What earlier runs fetched is no progress of this one.
        progress.reached(self.fetched(wanted));
        let log = self.open_log()?;
        let errors = log
            .try_clone()
            .map_err(StackError::file("open", self.log()))?;
        let mut child = self
            .install("--download-only", profile)
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(StackError::file("run", "apt-get"))?;
        loop {
            let ended = child
                .try_wait()
                .map_err(StackError::file("wait for", "apt-get"))?;
            let done = self.fetched(wanted);
            if let Some(percent) = progress.reached(done) {
                say!("  {percent:>3} %  {} of {} MB", mb(done), mb(total));
            }
            match ended {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(self.failed(
                        "fetching the packages",
                        &status,
                        crate::logs::tail(&self.log(), 8),
                    ));
                }
                None => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Bytes of the wanted packages that are here, partial ones included.
    pub fn fetched(&self, wanted: &[Wanted]) -> u64 {
        let archives = self.archives();
        let size = |path: PathBuf| fs::metadata(path).map(|m| m.len()).unwrap_or(0);
        let here = |w: &Wanted| {
            size(archives.join(&w.file)).max(size(archives.join("partial").join(&w.file)))
        };
        wanted.iter().map(here).sum()
    }

    /// The log of the build.
    pub fn log(&self) -> PathBuf {
        self.work.join("build.log")
    }

    /// The log, to be written at its end.
    pub fn open_log(&self) -> Result<fs::File, StackError> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log());
        log.map_err(StackError::file("open", self.log()))
    }

    fn finish(&self, step: &'static str, mut command: Command) -> Result<(), StackError> {
        let output = command
            .output()
            .map_err(StackError::file("run", "apt-get"))?;
        if output.status.success() {
            return Ok(());
        }
        let tail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(self.failed(step, &output.status, tail))
    }

    fn failed(
        &self,
        step: &'static str,
        status: &std::process::ExitStatus,
        tail: String,
    ) -> StackError {
        StackError::Step {
            step,
            program: "apt-get".into(),
            status: status.to_string(),
            tail,
            log: self.log(),
        }
    }
}

/// Lines of `--print-uris`: `'URI' file size hash`.
fn parse_uris(text: &str) -> Vec<Wanted> {
    let wanted = |line: &str| {
        let mut words = line
            .strip_prefix('\'')?
            .split_once("' ")?
            .1
            .split_whitespace();
        Some(Wanted {
            file: words.next()?.to_owned(),
            size: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_sizes_are_read_and_other_lines_ignored() {
        let text = "'http://a.example/pool/b/bash.deb' bash_5%3a1_amd64.deb 1234 SHA256:00\nnonsense\n'' x\n";
        let bash = Wanted {
            file: "bash_5%3a1_amd64.deb".into(),
            size: 1234,
        };
        assert_eq!(parse_uris(text), [bash]);
    }
}
