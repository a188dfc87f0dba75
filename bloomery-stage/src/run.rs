//! The whole staging in the container.

use std::path::Path;
use std::process::Command;

use crate::error::StageError;
use crate::info::{self, Info};
use crate::plan::Plan;
use crate::{buildpack, cache, package, procfile};

/// Runs the plan; on failure `staging_info.yml` carries the error instead of the
/// result, and the error is returned for the exit status.
pub fn run(plan: &Plan) -> Result<(), StageError> {
    let dest = Path::new(&plan.dest_dir);
    let result = stage(plan, dest).and_then(|info| info::write(dest, &info));
    if let Err(error) = &result {
        println!("Staging failed: {error}");
        info::write_failure(dest, error)?;
    }
    result
}

fn stage(plan: &Plan, dest: &Path) -> Result<Info, StageError> {
    let (source, cache_dir) = (Path::new(&plan.source_dir), Path::new(&plan.cache_dir));
    for dir in [
        dest.join("logs"),
        dest.join("tmp"),
        cache_dir.into(),
        source.into(),
    ] {
        std::fs::create_dir_all(&dir).map_err(StageError::file(dir))?;
    }
    package::unpack(Path::new(&plan.package), source)?;
    cache::restore(plan.cache_archive.as_deref(), cache_dir);
    let app = dest.join("app");
    copy(source, &app)?;
    let chosen = buildpack::choose(plan, &app)?;
    if let Some(name) = &chosen.detected {
        println!("-----> Detected: {name}");
    }
    buildpack::compile(plan, &chosen, &app)?;
    let procfile = procfile::read(&app)?;
    let defaults = buildpack::release(&chosen, &app)?;
    Ok(Info {
        start_command: info::start_command(plan.command.as_deref(), &procfile, &defaults),
        buildpack_path: chosen.dir.display().to_string(),
        detected_buildpack: chosen.detected,
        effective_procfile: if procfile.is_empty() {
            defaults
        } else {
            procfile
        },
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), StageError> {
    let program = |source| StageError::Program {
        program: "cp".into(),
        source,
    };
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .map_err(program)?;
    match status.success() {
        true => Ok(()),
        false => Err(StageError::file(to)(std::io::Error::other(format!(
            "cp ended with {status}"
        )))),
    }
}
