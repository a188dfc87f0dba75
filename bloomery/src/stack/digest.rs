//! The name of a root file system: SHA-1 of its tar, independent of the order in
//! which the file system lists its files.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use sha1::{Digest, Sha1};

use super::error::StackError;
use super::host;

/// Digest and bytes of the tar.
pub fn of(root: &Path) -> Result<(String, u64), StackError> {
    let mut command = host::command("tar");
    command.args([
        "--create",
        "--sort=name",
        "--numeric-owner",
        // Named by what is in it, not by when it was made.
        "--mtime=@0",
        "--one-file-system",
        "--directory",
    ]);
    command
        .arg(root)
        .arg(".")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let failed = |e| StackError::file("read", root)(e);
    let mut child = command.spawn().map_err(failed)?;
    let (mut hash, mut bytes) = (Sha1::new(), 0);
    if let Some(mut tar) = child.stdout.take() {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = tar.read(&mut buffer).map_err(failed)?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            bytes += n as u64;
        }
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok((hex::encode(hash.finalize()), bytes)),
        false => Err(failed(std::io::Error::other(format!(
            "tar ended with {status}"
        )))),
    }
}
