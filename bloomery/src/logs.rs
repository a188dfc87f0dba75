//! `bloomery logs`: the components' log files.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::layout::Layout;

/// Prints the last lines of one log or all; with `follow` goes on.
pub async fn run(
    data_dir: &Path,
    component: Option<&str>,
    lines: usize,
    follow: bool,
) -> Result<(), Error> {
    let layout = Layout::new(data_dir)?;
    let files = files(&layout, component)?;
    let mut at = Vec::new();
    for file in &files {
        let text = tail(file, lines);
        for line in text.lines() {
            print(file, files.len() > 1, line);
        }
        at.push(std::fs::metadata(file).map_or(0, |m| m.len()));
    }
    if !follow {
        return Ok(());
    }
    loop {
        for (file, offset) in files.iter().zip(&mut at) {
            for line in read_from(file, offset).lines() {
                print(file, files.len() > 1, line);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn files(layout: &Layout, component: Option<&str>) -> Result<Vec<PathBuf>, Error> {
    if let Some(name) = component {
        let file = layout.log(name);
        let known = || {
            all(layout)
                .iter()
                .filter_map(|f| Some(f.file_stem()?.to_string_lossy().into_owned()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        return match file.is_file() {
            true => Ok(vec![file]),
            false => Err(Error::Usage(format!(
                "there is no component {name:?}; there are: {}",
                known()
            ))),
        };
    }
    let files = all(layout);
    if files.is_empty() {
        Err(Error::NotUp(layout.root.clone()))
    } else {
        Ok(files)
    }
}

fn all(layout: &Layout) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(layout.root.join("logs"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    files
}

fn print(file: &Path, named: bool, line: &str) {
    let mut out = std::io::stdout();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let _ = if named {
        writeln!(out, "{name:<18} {line}")
    } else {
        writeln!(out, "{line}")
    };
}

/// The last lines of a file; empty when there is none. Reads at most 256 KiB.
pub fn tail(file: &Path, lines: usize) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(file) {
        let size = file.metadata().map_or(0, |m| m.len());
        let _ = file.seek(SeekFrom::Start(size.saturating_sub(256 * 1024)));
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn read_from(path: &Path, offset: &mut u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        let _ = file.seek(SeekFrom::Start(*offset));
        *offset += file.read_to_end(&mut bytes).unwrap_or(0) as u64;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
