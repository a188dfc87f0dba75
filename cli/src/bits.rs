//! The app's files: which ones are sent, which ones the controller has already,
//! and the upload of the rest.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::client::Client;
use crate::error::CfError;
use crate::size::show_bytes;
use crate::ui::Ui;

/// Never sent, whatever `.cfignore` says.
const NEVER: [&str; 9] = [
    ".cfignore",
    "/manifest.yml",
    ".gitignore",
    ".git",
    ".hg",
    ".svn",
    "_darcs",
    ".DS_Store",
    ".cloudignore",
];
/// Files asked about in one request.
const CHUNK: usize = 1000;

/// One file of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFile {
    /// Path on disk.
    pub path: PathBuf,
    /// Path in the app, `/` between parts.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Hex SHA-1.
    pub sha1: String,
    /// Permission bits.
    pub mode: u32,
}

impl AppFile {
    fn resource(&self) -> Value {
        json!({"fn": self.name, "sha1": self.sha1, "size": self.size, "mode": format!("{:o}", self.mode)})
    }
}

/// The files of a directory in a fixed order; `.cfignore` files are honoured like
/// `.gitignore` ones.
pub fn collect(dir: &Path) -> Result<Vec<AppFile>, CfError> {
    let mut never = OverrideBuilder::new(dir);
    for pattern in NEVER {
        never
            .add(&format!("!{pattern}"))
            .map_err(|e| CfError::Other(e.to_string()))?;
    }
    let walk = WalkBuilder::new(dir)
        .standard_filters(false)
        .hidden(false)
        .parents(false)
        .add_custom_ignore_filename(".cfignore")
        .overrides(never.build().map_err(|e| CfError::Other(e.to_string()))?)
        .sort_by_file_path(Path::cmp)
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|e| CfError::Other(format!("{}: {e}", dir.display())))?;
        if entry
            .file_type()
            .is_some_and(|t| t.is_file() || t.is_symlink())
            && entry.path().is_file()
        {
            files.push(describe(dir, entry.path())?);
        }
    }
    Ok(files)
}

fn describe(dir: &Path, path: &Path) -> Result<AppFile, CfError> {
    let meta = std::fs::metadata(path).map_err(CfError::file(path))?;
    let name = path
        .strip_prefix(dir)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    Ok(AppFile {
        path: path.into(),
        name,
        size: meta.len(),
        sha1: sha1_of(path)?,
        mode: meta.permissions().mode() & 0o777,
    })
}

fn sha1_of(path: &Path) -> Result<String, CfError> {
    let mut file = std::fs::File::open(path).map_err(CfError::file(path))?;
    let mut hash = Sha1::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(CfError::file(path))? {
            0 => return Ok(hex::encode(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// Uploads an app's directory or archive; returns how many bytes travelled.
pub async fn upload(
    client: &mut Client,
    ui: &Ui,
    app_guid: &str,
    path: &Path,
) -> Result<u64, CfError> {
    if path.is_file() {
        let size = std::fs::metadata(path).map_err(CfError::file(path))?.len();
        send(client, ui, app_guid, &[], Some((path.to_owned(), size))).await?;
        return Ok(size);
    }
    let dir = path.to_owned();
    let files = tokio::task::spawn_blocking(move || collect(&dir))
        .await
        .map_err(|e| CfError::Other(e.to_string()))??;
    if files.is_empty() {
        return Err(CfError::Other(format!(
            "No app files found in '{}'",
            path.display()
        )));
    }
    let known = matched(client, &files).await?;
    let (have, new): (Vec<_>, Vec<_>) = files.into_iter().partition(|f| known.contains(&f.sha1));
    let resources: Vec<Value> = have.iter().map(AppFile::resource).collect();
    let total: u64 = new.iter().map(|f| f.size).sum();
    ui.say(&format!("Uploading app files from: {}", path.display()));
    ui.say(&format!(
        "Uploading {}, {} files ({} already known)",
        show_bytes(total),
        new.len(),
        have.len()
    ));
    let archive = if new.is_empty() {
        None
    } else {
        Some(zip(&new)?)
    };
    let part = archive.as_ref().map(|file| {
        (
            file.path().to_owned(),
            file.as_file().metadata().map_or(0, |m| m.len()),
        )
    });
    let size = part.as_ref().map_or(0, |(_, size)| *size);
    send(client, ui, app_guid, &resources, part).await?;
    Ok(size)
}

/// Digests of the files that the controller has.
async fn matched(
    client: &mut Client,
    files: &[AppFile],
) -> Result<std::collections::HashSet<String>, CfError> {
    let mut known = std::collections::HashSet::new();
    for chunk in files.chunks(CHUNK) {
        let ask: Vec<Value> = chunk
            .iter()
            .filter(|f| f.size > 0)
            .map(AppFile::resource)
            .collect();
        let answer = client.put("/v2/resource_match", &Value::Array(ask)).await?;
        known.extend(
            answer
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|r| r["sha1"].as_str().map(str::to_owned)),
        );
    }
    Ok(known)
}

/// Packs files into a temporary archive.
pub(crate) fn zip(files: &[AppFile]) -> Result<tempfile::NamedTempFile, CfError> {
    let temp = tempfile::NamedTempFile::new().map_err(CfError::file("temporary archive"))?;
    let mut zip = zip::ZipWriter::new(std::io::BufWriter::new(temp.as_file()));
    let bad = |e: zip::result::ZipError| CfError::Other(format!("packing the app: {e}"));
    for file in files {
        let options = zip::write::SimpleFileOptions::default()
            .unix_permissions(file.mode)
            .large_file(file.size >= u64::from(u32::MAX));
        zip.start_file(&file.name, options).map_err(bad)?;
        let mut source = std::fs::File::open(&file.path).map_err(CfError::file(&file.path))?;
        std::io::copy(&mut source, &mut zip).map_err(CfError::file(&file.path))?;
    }
    let mut done = zip.finish().map_err(bad)?;
    done.flush().map_err(CfError::file("temporary archive"))?;
    drop(done);
    Ok(temp)
}

async fn send(
    client: &mut Client,
    ui: &Ui,
    app_guid: &str,
    resources: &[Value],
    archive: Option<(PathBuf, u64)>,
) -> Result<(), CfError> {
    let mut form = reqwest::multipart::Form::new()
        .text("resources", Value::from(resources.to_vec()).to_string());
    if let Some((path, _)) = archive {
        let part = part(ui, &path, "application.zip").await?;
        form = form.part("application", part);
    }
    let path = format!("/v2/apps/{app_guid}/bits?async=true");
    let job = client.upload(&path, form).await?;
    crate::jobs::wait(client, job).await?;
    ui.say("Done uploading");
    ui.ok();
    Ok(())
}

/// A file as a part of a form, with a bar where somebody looks.
pub(crate) async fn part(
    ui: &Ui,
    path: &Path,
    name: &str,
) -> Result<reqwest::multipart::Part, CfError> {
    let file = tokio::fs::File::open(path)
        .await
        .map_err(CfError::file(path))?;
    let size = file.metadata().await.map_err(CfError::file(path))?.len();
    let stream = tokio_util::io::ReaderStream::new(progress(ui, size).wrap_async_read(file));
    reqwest::multipart::Part::stream_with_length(reqwest::Body::wrap_stream(stream), size)
        .file_name(name.to_owned())
        .mime_str("application/zip")
        .map_err(|e| CfError::Other(e.to_string()))
}

/// The bar of an upload; hidden where nobody looks.
fn progress(ui: &Ui, size: u64) -> indicatif::ProgressBar {
    if !ui.interactive {
        return indicatif::ProgressBar::hidden();
    }
    let style =
        indicatif::ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}");
    let bar = indicatif::ProgressBar::new(size);
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        collect(dir)
            .expect("collected")
            .into_iter()
            .map(|f| f.name)
            .collect()
    }

    #[test]
    fn cfignore_and_the_fixed_list_are_left_out_and_dot_files_are_not() {
        let dir = tempfile::tempdir().expect("tempdir");
        for (name, text) in [
            (".cfignore", "*.log\nnode_modules/\n!keep.log\n"),
            ("manifest.yml", "x"),
            (".env", "x"),
            ("a.log", "x"),
            ("keep.log", "x"),
            ("sub/manifest.yml", "x"),
            ("node_modules/m/i.js", "x"),
            (".git/HEAD", "x"),
            ("b", ""),
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            std::fs::write(path, text).expect("write");
        }
        assert_eq!(
            names(dir.path()),
            [".env", "b", "keep.log", "sub/manifest.yml"]
        );
    }

    #[test]
    fn digests_and_modes_are_those_of_the_files() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("run.sh");
        std::fs::write(&path, "hello").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let files = collect(dir.path()).expect("collected");
        assert_eq!(files[0].sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(files[0].resource()["mode"], "755");
    }
}
