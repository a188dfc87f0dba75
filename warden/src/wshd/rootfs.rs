//! The container's root, mounted by the keeper in its private namespace: an
//! overlay over an idmapped clone of the stack, then files and bind mounts.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Component, Path, PathBuf};

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
    userns: &OwnedFd,
    ready: Option<OwnedFd>,
) -> Result<()> {
    let disk = if iso.disk_image {
        mount_image(dir, ready)?
    } else {
        dir.to_owned()
    };
    Step::DiskMount.inject(spec.fail_after)?;
    overlay(iso, dir, &disk, userns)?;
    Step::Overlay.inject(spec.fail_after)?;
    let root = dir.join(names::ROOT);
    write_files(spec, iso, &root)?;
    Step::Files.inject(spec.fail_after)?;
    for bind in &spec.bind_mounts {
        bind_into(&root, bind, Some(userns))?;
    }
    if let Some(bundle) = &iso.ca_bundle {
        bind_bundle(&root, bundle, userns)?;
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
    mount::mount(&device, &target, "ext4", flags, "discard").at(format!("mount {device}"))?;
    // From here on the mount alone holds the device.
    drop(file);
    Ok(target)
}

fn overlay(iso: &Isolation, dir: &Path, disk: &Path, userns: &OwnedFd) -> Result<()> {
    let (lower, root) = (dir.join("lower"), dir.join(names::ROOT));
    let (upper, work) = (disk.join("upper"), disk.join("work"));
    for path in [&lower, &root, &upper, &work] {
        mkdir(path, 0o755)?;
    }
    chown(&upper, Some(iso.uid_base), Some(iso.uid_base)).at("chown upper")?;
    idmapped(&iso.lower, &lower, userns)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
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
        idmapped(Path::new("/usr"), &root.join("usr"), userns)?;
    }
    Ok(())
}

/// A read-only clone of `source` at `target` whose owners are shifted into the
/// container's range.
fn idmapped(source: &Path, target: &Path, userns: &OwnedFd) -> Result<()> {
    let tree = mount::open_tree_clone(source).at(format!("open_tree {}", source.display()))?;
    let attr = Attr(Attr::RDONLY | Attr::NOSUID | Attr::NODEV);
    shift_owners(
        &tree,
        attr,
        Some(userns),
        &format!("idmap {}", source.display()),
    )?;
    mount::move_to(tree.as_fd(), target).at(format!("move_mount {}", target.display()))
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
    write(root, "etc/resolv.conf", &iso.resolv_conf, owner)?;
    write(
        root,
        "etc/hosts",
        &format!("127.0.0.1 localhost\n{ip} {handle}\n"),
        owner,
    )?;
    write(root, "etc/hostname", &format!("{handle}\n"), owner)?;
    home(root, iso.uid_base)
}

/// Replaces a file of the stack, never following a link of it.
fn write(root: &Path, name: &str, text: &str, owner: u32) -> Result<()> {
    let path = root.join(name);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(e).at(format!("remove {name}"));
        }
        _ => {}
    }
    fs::write(&path, text).at(format!("write {name}"))?;
    chown(&path, Some(owner), Some(owner)).at(format!("chown {name}"))
}

/// `/home/vcap` with `app`, `logs` and `tmp`, and the link `/app`.
fn home(root: &Path, uid_base: u32) -> Result<()> {
    let vcap = Some(uid_base + VCAP);
    for name in [
        "home/vcap",
        "home/vcap/app",
        "home/vcap/logs",
        "home/vcap/tmp",
    ] {
        let path = root.join(name);
        fs::create_dir_all(&path).at(format!("mkdir {name}"))?;
        lchown(&path, vcap, vcap).at(format!("chown {name}"))?;
    }
    let tmp = root.join("tmp");
    fs::create_dir_all(&tmp).at("mkdir tmp")?;
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)).at("chmod tmp")?;
    match symlink("/home/vcap/app", root.join("app")) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.at("symlink app"),
    }
}

/// The bundle replaces the stack's own where tools look for it.
fn bind_bundle(root: &Path, bundle: &Path, userns: &OwnedFd) -> Result<()> {
    let dst = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let bind = BindMount {
        src: bundle.to_owned(),
        dst: dst.to_owned(),
        writable: false,
    };
    bind_into(root, &bind, Some(userns))
}

/// One bind mount below `root`; links of the stack cannot lead it out.
pub(super) fn bind_into(root: &Path, bind: &BindMount, userns: Option<&OwnedFd>) -> Result<()> {
    let step = format!("bind {} on {}", bind.src.display(), bind.dst.display());
    let is_dir = fs::metadata(&bind.src).at(&*step)?.is_dir();
    let tree = mount::open_tree_clone(&bind.src).at(&*step)?;
    attach(root, bind, is_dir, &tree, userns)
}

/// Puts the clone of a bind's source in its place.
pub(super) fn attach(
    root: &Path,
    bind: &BindMount,
    is_dir: bool,
    tree: &OwnedFd,
    userns: Option<&OwnedFd>,
) -> Result<()> {
    let step = format!("bind {} on {}", bind.src.display(), bind.dst.display());
    let target = make_target(root, &bind.dst, is_dir).at(&*step)?;
    let readonly = if bind.writable { 0 } else { Attr::RDONLY };
    let attr = Attr(readonly | Attr::NOSUID | Attr::NODEV);
    shift_owners(tree, attr, userns, &step)?;
    mount::move_onto(tree.as_fd(), target.as_fd()).at(&*step)
}

fn make_target(root: &Path, dst: &Path, is_dir: bool) -> io::Result<OwnedFd> {
    let root: OwnedFd = fs::File::open(root)?.into();
    let parts: Vec<&Path> = dst
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(Path::new(name)),
            _ => None,
        })
        .collect();
    let (last, parents) = parts
        .split_last()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let mut walked = std::path::PathBuf::from("/");
    let mut dir = files::open_in_root(root.as_fd(), &walked, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    for name in parents {
        dir = enter(&root, &dir, &mut walked, name)?;
    }
    if is_dir {
        return enter(&root, &dir, &mut walked, last);
    }
    walked.push(last);
    match files::open_in_root(root.as_fd(), &walked, libc::O_CREAT | libc::O_RDONLY, 0o644) {
        Ok(_) => files::open_in_root(root.as_fd(), &walked, libc::O_PATH, 0),
        Err(e) => Err(e),
    }
}

fn enter(
    root: &OwnedFd,
    dir: &OwnedFd,
    walked: &mut std::path::PathBuf,
    name: &Path,
) -> io::Result<OwnedFd> {
    walked.push(name);
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    match files::open_in_root(root.as_fd(), walked, flags, 0) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let dir = files::open_in_root(
                dir.as_fd(),
                Path::new("."),
                libc::O_RDONLY | libc::O_DIRECTORY,
                0,
            )?;
            files::mkdir_at(dir.as_fd(), name, 0o755)?;
            files::open_in_root(root.as_fd(), walked, flags, 0)
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
