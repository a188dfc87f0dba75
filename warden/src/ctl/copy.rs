//! Copying through `tar` on both sides. Inside it runs as a job, so nothing in
//! the container can make the host write elsewhere.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::sys::{At, files, process};
use crate::{Container, Error, Pipes, ProcessSpec, Result};

/// Copies the content of a directory, or a file, into the directory `dst`.
pub(super) async fn into(container: &Arc<dyn Container>, src: &Path, dst: &str) -> Result<()> {
    let (read, write) = files::pipe().at("pipe")?;
    let (dir, name) = split(src)?;
    let tar = spawn(
        Command::new("tar")
            .arg("-C")
            .arg(dir)
            .arg("-cf")
            .arg("-")
            .arg(name)
            .stdout(write),
    )?;
    let script = "mkdir -p \"$1\" && exec tar -C \"$1\" -xf - --no-same-owner";
    let pipes = Pipes {
        stdin: Some(read),
        stdout: None,
    };
    job(container, script, dst, pipes).await?;
    finish(tar)
}

/// Copies the content of a directory of the container, or a file, into `dst`.
pub(super) async fn out_of(container: &Arc<dyn Container>, src: &str, dst: &Path) -> Result<()> {
    std::fs::create_dir_all(dst).at(format!("mkdir {}", dst.display()))?;
    // New and empty: no link of an earlier copy can lead the next one elsewhere.
    let fresh = dst.join(format!(".copy-out-{}", std::process::id()));
    DirBuilder::new()
        .mode(0o700)
        .create(&fresh)
        .at(format!("mkdir {}", fresh.display()))?;
    let copied = unpack(container, src, &fresh).await;
    let moved = match copied {
        Ok(()) => move_up(&fresh, dst),
        Err(error) => Err(error),
    };
    std::fs::remove_dir_all(&fresh).at(format!("remove {}", fresh.display()))?;
    moved
}

/// Holes stay holes (`-S`): a sparse file fills no disk. The archive is the container's word: it may hold devices, setuid files and
/// anything else. Nothing of that is made.
async fn unpack(container: &Arc<dyn Container>, src: &str, fresh: &Path) -> Result<()> {
    let (read, write) = files::pipe().at("pipe")?;
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(fresh);
    tar.args(["-xf", "-", "--no-same-owner", "--no-same-permissions"]);
    process::without_device_files(&mut tar);
    let tar = spawn(tar.stdin(read))?;
    let script = "if [ -d \"$1\" ]; then exec tar -S -C \"$1\" -cf - .; else exec tar -S -C \"$(dirname \"$1\")\" -cf - \"$(basename \"$1\")\"; fi";
    let pipes = Pipes {
        stdin: None,
        stdout: Some(write),
    };
    job(container, script, src, pipes).await?;
    finish(tar)
}

/// Moves what was unpacked to its place. A directory that is there already is
/// an error, a file or link is replaced.
fn move_up(fresh: &Path, dst: &Path) -> Result<()> {
    for entry in std::fs::read_dir(fresh)
        .at("read what was copied")?
        .flatten()
    {
        let target = dst.join(entry.file_name());
        std::fs::rename(entry.path(), &target).at(format!("move to {}", target.display()))?;
    }
    Ok(())
}

async fn job(container: &Arc<dyn Container>, script: &str, path: &str, pipes: Pipes) -> Result<()> {
    let mut spec = ProcessSpec::script(script);
    spec.argv.extend(["copy".to_owned(), path.to_owned()]);
    let job = container.run(spec, pipes).await?;
    let exit = container.wait(&job).await?;
    if exit.code == 0 {
        return Ok(());
    }
    Err(failed(&format!(
        "tar inside ended with {}; wardenctl attach shows job {}",
        exit.code, job.0
    )))
}

fn split(src: &Path) -> Result<(&Path, &std::ffi::OsStr)> {
    if src.is_dir() {
        return Ok((src, ".".as_ref()));
    }
    let name = src
        .file_name()
        .ok_or_else(|| failed("the source has no name"))?;
    let dir = src.parent().filter(|dir| !dir.as_os_str().is_empty());
    Ok((dir.unwrap_or(Path::new(".")), name))
}

fn spawn(command: &mut Command) -> Result<Child> {
    let child = command.spawn().at("start tar");
    // The command keeps its copy of the pipe's end otherwise.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    child
}

fn finish(mut tar: Child) -> Result<()> {
    let status = tar.wait().at("wait for tar")?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(&format!("tar on the host: {status}")))
    }
}

fn failed(message: &str) -> Error {
    Error::Keeper {
        step: "copy".into(),
        message: message.into(),
    }
}
