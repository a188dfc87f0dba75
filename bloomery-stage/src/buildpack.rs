//! The buildpack contract: `bin/detect APP`, `bin/compile APP CACHE`, `bin/release APP`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::error::StageError;
use crate::fetch;
use crate::plan::Plan;
use crate::procfile::ProcessTypes;
use crate::program::{TIMED_OUT, limited};

/// A buildpack and what its detect printed.
#[derive(Debug)]
pub struct Chosen {
    /// Its directory.
    pub dir: PathBuf,
    /// First line of detect; none when it was chosen by name or URL.
    pub detected: Option<String>,
}

/// Chooses by git URL, by name, or by the first detect that succeeds.
pub fn choose(plan: &Plan, app: &Path) -> Result<Chosen, StageError> {
    if let Some(url) = &plan.git_url {
        return Ok(Chosen {
            dir: fetch::fetch(plan, url)?,
            detected: None,
        });
    }
    if let Some(dir) = &plan.chosen_dir {
        return Ok(Chosen {
            dir: dir.into(),
            detected: None,
        });
    }
    for dir in &plan.buildpack_dirs {
        if let Some(name) = detect(Path::new(dir), app)? {
            return Ok(Chosen {
                dir: dir.into(),
                detected: Some(name),
            });
        }
    }
    let names: Vec<String> = plan
        .buildpack_dirs
        .iter()
        .map(|d| name_of(Path::new(d)))
        .collect();
    Err(StageError::NoAppDetected {
        tried: if names.is_empty() {
            "none installed".into()
        } else {
            names.join(", ")
        },
    })
}

/// A buildpack says its name in the file `NAME`; else its directory does.
fn name_of(dir: &Path) -> String {
    let file = std::fs::read_to_string(dir.join("NAME"))
        .ok()
        .map(|n| n.trim().to_owned());
    file.filter(|n| !n.is_empty())
        .or_else(|| dir.file_name().map(|n| n.to_string_lossy().into_owned()))
        .unwrap_or_default()
}

fn detect(dir: &Path, app: &Path) -> Result<Option<String>, StageError> {
    let script = dir.join("bin/detect");
    let output = Command::new(&script)
        .arg(app)
        .stderr(Stdio::null())
        .output()
        .map_err(program(&script))?;
    Ok(output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// Runs compile under the plan's limit; its output is the user's.
pub fn compile(plan: &Plan, chosen: &Chosen, app: &Path) -> Result<(), StageError> {
    let script = chosen.dir.join("bin/compile");
    let _ = std::io::stdout().flush();
    let status = limited(plan.timeout_secs)
        .arg(&script)
        .arg(app)
        .arg(&plan.cache_dir)
        .env("BLOOMERY_TOOLS", tools_dir())
        .status()
        .map_err(program(&script))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(TIMED_OUT) => Err(StageError::CompileTimedOut {
            seconds: plan.timeout_secs,
        }),
        code => Err(StageError::CompileFailed {
            status: code.unwrap_or(255),
        }),
    }
}

/// Where this program and its companions stand.
fn tools_dir() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|p| p.parent().map(Path::to_path_buf))
        .unwrap_or_default()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Release {
    default_process_types: ProcessTypes,
}

/// Runs release; only `default_process_types` is used.
pub fn release(chosen: &Chosen, app: &Path) -> Result<ProcessTypes, StageError> {
    let script = chosen.dir.join("bin/release");
    let output = Command::new(&script)
        .arg(app)
        .output()
        .map_err(program(&script))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(StageError::ReleaseFailed(
            format!("{} {}", text.trim(), said.trim()).trim().to_owned(),
        ));
    }
    if text.trim().is_empty() {
        return Ok(ProcessTypes::new());
    }
    let parsed: Option<Release> = serde_saphyr::from_str(&text)
        .map_err(|e| StageError::ReleaseFailed(format!("its output is not a YAML map: {e}")))?;
    Ok(parsed.unwrap_or_default().default_process_types)
}

fn program(path: &Path) -> impl FnOnce(std::io::Error) -> StageError {
    let program = path.display().to_string();
    move |source| StageError::Program { program, source }
}
