//! The container's root, mounted by the keeper in its private namespace: an
//! overlay over an idmapped clone of the stack, then files and bind mounts.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, fchown, symlink};
use std::path::{Component, Path, PathBuf};

use super::guards::{Guard, Guards};
use crate::step::Step;
use crate::sys::mount::{self, Attr};
use crate::sys::{At, files, loopdev};
use crate::wire::{Isolation, KeeperSpec, names};
use crate::{BindMount, Result};

/// uid and gid of `vcap` inside every container.
pub(super) const VCAP: u32 = 2000;

/// Builds everything below `<dir>/root`. `ready` is the mount of the disk image
/// when it was made ahead.
pub(super) fn build(
    spec: &KeeperSpec,
    iso: &Isolation,
    dir: &Path,
    userns: Option<&OwnedFd>,
    ready: Option<OwnedFd>,
    guards: Guards,
) -> Result<()> {
    // Without a user namespace the container's ids are the host's.
    let base = userns.map_or(0, |_| iso.uid_base);
    let iso = &Isolation {
        uid_base: base,
        ..iso.clone()
    };
    let disk = match (iso.disk_image, iso.project) {
        (true, _) => mount_image(dir, ready)?,
        // Made by the backend; what is made in it belongs to the project.
        (false, Some(_)) => dir.join(names::DISK),
        (false, None) => dir.to_owned(),
    };
    Step::DiskMount.inject(spec.fail_after)?;
    overlay(iso, dir, &disk, userns, guards)?;
    Step::Overlay.inject(spec.fail_after)?;
    let root = dir.join(names::ROOT);
    write_files(spec, iso, &root)?;
    Step::Files.inject(spec.fail_after)?;
    for bind in &spec.bind_mounts {
        bind_into(&root, bind, userns, guards)?;
    }
    if let Some(bundle) = &iso.ca_bundle {
        bind_bundle(&root, bundle, userns, guards)?;
    }
    Step::Binds.inject(spec.fail_after)
}

fn mount_image(dir: &Path, ready: Option<OwnedFd>) -> Result<PathBuf> {
    let target = dir.join(names::DISK);
    mkdir(&target, 0o755)?;
    if let Some(ready) = ready {
        let step = format!("move_mount {}", target.display());
        mount::move_to(ready.as_fd(), &target).at(step)?;
        return Ok(target);
    }
    let (device, file) = loopdev::attach(&dir.join(names::IMAGE)).at("attach disk image")?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOATIME;
    mount::mount(&device, &target, "ext4", flags, &loopdev::OPTIONS.join(","))
        .at(format!("mount {device}"))?;
    // From here on the mount alone holds the device.
    drop(file);
    Ok(target)
}

fn overlay(
    iso: &Isolation,
    dir: &Path,
    disk: &Path,
    userns: Option<&OwnedFd>,
    guards: Guards,
) -> Result<()> {
    let (lower, root) = (dir.join("lower"), dir.join(names::ROOT));
    let (upper, work) = (disk.join("upper"), disk.join("work"));
    for path in [&lower, &root, &upper, &work] {
        mkdir(path, 0o755)?;
    }
    chown(&upper, Some(iso.uid_base), Some(iso.uid_base)).at("chown upper")?;
    idmapped(&iso.lower, &lower, userns, guards)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let flags =
        guards.flag(Guard::NoSuid, libc::MS_NOSUID) | guards.flag(Guard::NoDev, libc::MS_NODEV);
    // Without `volatile` the unmount would sync the whole file system below.
    match mount::mount(
        "overlay",
        &root,
        "overlay",
        flags,
        &format!("{options},volatile"),
    ) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            mount::mount("overlay", &root, "overlay", flags, &options)
        }
        other => other,
    }
    .at("mount overlay")?;
    if iso.host_usr {
        idmapped(Path::new("/usr"), &root.join("usr"), userns, guards)?;
    }
    Ok(())
}

/// A read-only clone of `source` at `target` whose owners are shifted into the
/// container's range.
fn idmapped(source: &Path, target: &Path, userns: Option<&OwnedFd>, guards: Guards) -> Result<()> {
    let tree = mount::open_tree_clone(source).at(format!("open_tree {}", source.display()))?;
    let attr = Attr(guards.flag(Guard::ReadOnlyStack, Attr::RDONLY) | closed(guards));
    shift_owners(&tree, attr, userns, &format!("idmap {}", source.display()))?;
    mount::move_to(tree.as_fd(), target).at(format!("move_mount {}", target.display()))
}

/// What every mount of the container forbids.
fn closed(guards: Guards) -> u64 {
    guards.flag(Guard::NoSuid, Attr::NOSUID) | guards.flag(Guard::NoDev, Attr::NODEV)
}

/// Sets the attributes of a detached clone, and shifts its owners where its file
/// system can. Where it cannot (an overlay, as below docker), owners look like nobody inside.
fn shift_owners(tree: &OwnedFd, attr: Attr, userns: Option<&OwnedFd>, step: &str) -> Result<()> {
    match mount::set_attr(tree.as_fd(), attr, userns.map(|fd| fd.as_fd())) {
        Err(error) if userns.is_some() => {
            super::log(&format!(
                "{step}: no id mapping ({error}), mounted as it is"
            ));
            mount::set_attr(tree.as_fd(), attr, None).at(step)
        }
        other => other.at(step),
    }
}

fn write_files(spec: &KeeperSpec, iso: &Isolation, root: &Path) -> Result<()> {
    let ip = iso
        .link
        .as_ref()
        .map_or_else(|| "127.0.1.1".into(), |l| l.container_ip.to_string());
    let handle = &spec.handle;
    let owner = iso.uid_base;
    let top: OwnedFd = File::open(root).at("open root")?.into();
    write(&top, "resolv.conf", &iso.resolv_conf, owner)?;
    let hosts = format!("127.0.0.1 localhost\n{ip} {handle}\n");
    write(&top, "hosts", &hosts, owner)?;
    write(&top, "hostname", &format!("{handle}\n"), owner)?;
    home(&top, iso.uid_base)?;
    match symlink("/home/vcap/app", root.join("app")) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.at("symlink app"),
    }
}

/// Replaces a file of the stack's `/etc`. A link of the stack, be it the file
/// or the directory, never leads out of the root.
fn write(root: &OwnedFd, name: &str, text: &str, owner: u32) -> Result<()> {
    let step = format!("write /etc/{name}");
    let etc = open_dir(root, Path::new("etc")).at(&*step)?;
    files::unlink_at(etc.as_fd(), Path::new(name)).at(&*step)?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let file = files::open_in_root(etc.as_fd(), Path::new(name), flags, 0o644).at(&*step)?;
    let mut file = File::from(file);
    file.write_all(text.as_bytes()).at(&*step)?;
    fchown(&file, Some(owner), Some(owner)).at(&*step)
}

/// `/home/vcap` with `app`, `logs` and `tmp`, and `/tmp`.
fn home(root: &OwnedFd, uid_base: u32) -> Result<()> {
    let vcap = Some(uid_base + VCAP);
    for name in [
        "home/vcap",
        "home/vcap/app",
        "home/vcap/logs",
        "home/vcap/tmp",
    ] {
        let step = format!("make /{name}");
        let dir = make_dirs(root, Path::new(name)).at(&*step)?;
        fchown(&dir, vcap, vcap).at(&*step)?;
    }
    let tmp = make_dirs(root, Path::new("tmp")).at("make /tmp")?;
    let everybody = fs::Permissions::from_mode(0o1777);
    tmp.set_permissions(everybody).at("chmod tmp")
}

/// The bundle replaces the stack's own where tools look for it.
fn bind_bundle(root: &Path, bundle: &Path, userns: Option<&OwnedFd>, guards: Guards) -> Result<()> {
    let dst = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let bind = BindMount {
        src: bundle.to_owned(),
        dst: dst.to_owned(),
        writable: false,
    };
    bind_into(root, &bind, userns, guards)
}

/// One bind mount below `root`; links of the stack cannot lead it out.
fn bind_into(
    root: &Path,
    bind: &BindMount,
    userns: Option<&OwnedFd>,
    guards: Guards,
) -> Result<()> {
    let step = format!("bind {} on {}", bind.src.display(), bind.dst.display());
    let is_dir = fs::metadata(&bind.src).at(&*step)?.is_dir();
    let tree = mount::open_tree_clone(&bind.src).at(&*step)?;
    attach(root, bind, is_dir, &tree, userns, guards)
}

/// Puts the clone of a bind's source in its place.
pub(super) fn attach(
    root: &Path,
    bind: &BindMount,
    is_dir: bool,
    tree: &OwnedFd,
    userns: Option<&OwnedFd>,
    guards: Guards,
) -> Result<()> {
    let step = format!("bind {} on {}", bind.src.display(), bind.dst.display());
    let target = make_target(root, &bind.dst, is_dir).at(&*step)?;
    let readonly = if bind.writable { 0 } else { Attr::RDONLY };
    let attr = Attr(readonly | closed(guards));
    shift_owners(tree, attr, userns, &step)?;
    mount::move_onto(tree.as_fd(), target.as_fd()).at(&*step)
}

fn make_target(root: &Path, dst: &Path, is_dir: bool) -> io::Result<OwnedFd> {
    let root: OwnedFd = File::open(root)?.into();
    let parts = normal(dst);
    let (_, parents) = parts
        .split_last()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let whole: PathBuf = parts.iter().collect();
    if is_dir {
        make_dirs(&root, &whole)?;
    } else {
        make_dirs(&root, &parents.iter().collect::<PathBuf>())?;
        files::open_in_root(root.as_fd(), &whole, libc::O_CREAT | libc::O_RDONLY, 0o644)?;
    }
    files::open_in_root(root.as_fd(), &whole, libc::O_PATH, 0)
}

/// The names of a path; `..` is left out, so that it cannot lead up.
fn normal(path: &Path) -> Vec<&Path> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(Path::new(name)),
        _ => None,
    });
    names.collect()
}

/// Opens a directory below `root`, which must exist.
fn open_dir(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    files::open_in_root(root.as_fd(), path, flags, 0).map(File::from)
}

/// Opens a directory below `root` after making what is missing of it.
fn make_dirs(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let mut walked = PathBuf::from("/");
    let mut dir = open_dir(root, &walked)?;
    for name in normal(path) {
        dir = enter(root, &dir, &mut walked, name)?;
    }
    Ok(dir)
}

fn enter(root: &OwnedFd, dir: &File, walked: &mut PathBuf, name: &Path) -> io::Result<File> {
    walked.push(name);
    match open_dir(root, walked) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            files::mkdir_at(dir.as_fd(), name, 0o755)?;
            open_dir(root, walked)
        }
        other => other,
    }
}

fn mkdir(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.at(format!("mkdir {}", path.display())),
    }
}
