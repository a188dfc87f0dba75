//! `bloomery stack import NAME TARBALL`: a root file system made elsewhere, such as
//! what `docker export` writes.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use super::error::StackError;
use super::progress::{Progress, mb};
use super::receipt::{self, Receipt};
use super::shelf::{Shelf, remove};
use super::{digest, host, shape};
use crate::args::ImportStack;

/// How a tar may be packed: first bytes, tar's option.
const PACKINGS: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "--gzip"),
    (b"BZh", "--bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "--xz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "--zstd"),
];

/// Unpacks the tarball, checks that it can be a root file system, and keeps it
/// under the digest of what is in it.
pub fn import(flags: &ImportStack, out: &Path) -> Result<(), StackError> {
    let began = Instant::now();
    check_name(&flags.name)?;
    host::check_import()?;
    let path = &flags.tarball;
    let tarball = File::open(path).map_err(StackError::file("open", path))?;
    let shelf = Shelf::take(out.join(&flags.name))?;
    let root = shelf.work().join("root");
    remove(&shelf.work())?;
    fs::create_dir_all(&root).map_err(StackError::file("make the directory", &root))?;
    let kept = unpack(path, tarball, &root).and_then(|()| {
        shape::check(&root)?;
        shape::complete(&root)?;
        let receipt = receipt(flags, &root, began)?;
        shelf.keep(&root, &receipt).map(|()| receipt)
    });
    // Nothing of a failed import is of use to the next.
    let receipt = kept.inspect_err(|_| drop(remove(&shelf.work())))?;
    shelf.tell("Imported", &receipt);
    Ok(())
}

fn receipt(flags: &ImportStack, root: &Path, began: Instant) -> Result<Receipt, StackError> {
    say!("2/2 Naming it by its digest");
    let (sha1, bytes) = digest::of(root)?;
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap_or_default();
    Ok(Receipt {
        name: flags.name.clone(),
        profile: None,
        description: flags.description.clone().or_else(|| shape::system(root)),
        sha1,
        recipe: String::new(),
        bytes,
        fetched_bytes: 0,
        seconds: began.elapsed().as_secs(),
        packages: receipt::installed(&status),
    })
}

/// A name is a directory, a word of the command line and a word on the bus.
fn check_name(name: &str) -> Result<(), StackError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let taken = ["host", super::NAME].contains(&name);
    match starts && !taken && name.len() <= 63 && name.chars().all(fine) {
        true => Ok(()),
        false => Err(StackError::BadName(name.chars().take(80).collect())),
    }
}

fn unpack(path: &Path, mut file: File, root: &Path) -> Result<(), StackError> {
    let size = file
        .metadata()
        .map_err(StackError::file("read", path))?
        .len();
    let packing = packing(&mut file).map_err(StackError::file("read", path))?;
    say!("1/2 Unpacking {} MB into {}", mb(size), root.display());
    let log = root.with_file_name("build.log");
    let errors = File::create(&log).map_err(StackError::file("write", &log))?;
    let mut tar = tar(packing, root, errors).map_err(StackError::file("run", "tar"))?;
    let fed = feed(&mut file, &mut tar, size).map_err(StackError::file("read", path));
    let status = tar.wait().map_err(StackError::file("wait for", "tar"))?;
    if !status.success() {
        return Err(StackError::Unpack {
            tarball: path.into(),
            status: status.to_string(),
            tail: crate::logs::tail(&log, 8),
        });
    }
    fed
}

fn packing(file: &mut File) -> std::io::Result<Option<&'static str>> {
    let mut first = Vec::new();
    Read::by_ref(file).take(8).read_to_end(&mut first)?;
    file.rewind()?;
    let known = PACKINGS.iter().find(|(magic, _)| first.starts_with(magic));
    Ok(known.map(|(_, option)| *option))
}

fn tar(packing: Option<&str>, root: &Path, errors: File) -> std::io::Result<Child> {
    let mut command = host::command("tar");
    // Without devices: warden gives every container its own.
    command
        .args([
            "--extract",
            "--numeric-owner",
            "--same-owner",
            "--same-permissions",
        ])
        .args(["--exclude=./dev/*", "--exclude=dev/*"])
        .args(packing)
        .arg("--directory")
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
}

/// Gives the file to tar and tells how far it is. That tar ends early is told by its status.
fn feed(file: &mut File, tar: &mut Child, size: u64) -> std::io::Result<()> {
    let Some(mut input) = tar.stdin.take() else {
        return Ok(());
    };
    let (mut progress, mut done) = (Progress::of(size), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 || input.write_all(&buffer[..n]).is_err() {
            return Ok(());
        }
        done += n as u64;
        if let Some(percent) = progress.reached(done) {
            say!("  {percent:>3} %  {} of {} MB", mb(done), mb(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Place, StackDir};
    use crate::stack::offered;
    use std::process::Command;

    fn flags(dir: &Path, tarball: &str) -> ImportStack {
        ImportStack {
            dir: StackDir {
                place: Place {
                    data_dir: dir.into(),
                },
                out: None,
            },
            name: "mine".into(),
            tarball: dir.join(tarball),
            description: None,
        }
    }

    /// A tar of the files, made by the host's tar with `options`.
    fn tarball(dir: &Path, files: &[(&str, &str)], options: &[&str]) {
        let root = dir.join("source");
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            fs::write(path, text).expect("write");
        }
        let status = Command::new("tar")
            .args(options)
            .arg("-cf")
            .arg(dir.join("root.tar"))
            .arg("-C")
            .arg(&root)
            .arg(".")
            .status();
        assert!(status.expect("tar").success());
    }

    fn may_run() -> bool {
        let root = crate::settings::is_root();
        if !root {
            eprintln!("SKIPPED: only root may import a stack");
        }
        root
    }

    const SYSTEM: [(&str, &str); 4] = [
        ("bin/sh", "#!"),
        ("usr/bin/env", "#!"),
        ("etc/os-release", "NAME=x\nPRETTY_NAME=\"Plan 9\"\n"),
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
    ];

    #[test]
    fn a_packed_system_is_imported_described_and_offered_with_its_user() {
        if !may_run() {
            return;
        }
        let dir = tempfile::tempdir().expect("tempdir");
        tarball(dir.path(), &SYSTEM, &["--gzip"]);
        let out = dir.path().join("stacks");
        import(&flags(dir.path(), "root.tar"), &out).expect("imported");
        let stacks = offered::all(&out, &["cflinuxfs2=mine".to_owned()]);
        let mine = stacks.iter().find(|s| s.name == "mine").expect("offered");
        assert!(mine.description.contains("Plan 9"), "{}", mine.description);
        let rootfs = mine.rootfs.clone().expect("a root of its own");
        let passwd = fs::read_to_string(rootfs.join("etc/passwd")).expect("passwd");
        assert!(passwd.contains("\nvcap:x:2000:2000:"), "{passwd}");
        assert!(stacks.iter().any(|s| s.name == "cflinuxfs2"));
        assert!(!out.join("mine/work").exists());
    }

    #[test]
    fn what_is_no_system_is_refused_and_leaves_the_stack_as_it_was() {
        if !may_run() {
            return;
        }
        let dir = tempfile::tempdir().expect("tempdir");
        let out = dir.path().join("stacks");
        tarball(dir.path(), &SYSTEM, &[]);
        import(&flags(dir.path(), "root.tar"), &out).expect("imported");
        let before = Receipt::read(&out.join("mine"));
        fs::write(dir.path().join("noise"), "no tar at all").expect("write");
        let noise = import(&flags(dir.path(), "noise"), &out).expect_err("refused");
        assert!(noise.to_string().contains("noise"), "{noise}");
        let mut other = flags(dir.path(), "nowhere");
        other.name = "other".into();
        assert!(import(&other, &out).is_err());
        assert!(!out.join("other").exists());
        fs::remove_dir_all(dir.path().join("source")).expect("remove");
        tarball(
            dir.path(),
            &[("manifest.json", "[]"), ("repositories", "")],
            &[],
        );
        let image = import(&flags(dir.path(), "root.tar"), &out).expect_err("refused");
        assert!(image.to_string().contains("docker export"), "{image}");
        assert_eq!(Receipt::read(&out.join("mine")), before);
        assert!(!out.join("mine/work").exists());
    }

    #[test]
    fn names_that_are_taken_or_no_names_are_refused() {
        for name in ["host", "debian12", "", "..", "a/b", "-x", "Big", "a b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("cflinuxfs3").is_ok());
    }
}
