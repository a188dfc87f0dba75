//! The `host` stack: a skeleton of links and a private `/etc`; the host's
//! `/usr` is bound over it read-only.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::Inner;
use crate::sys::At;
use crate::{Error, Result};

/// Raise when the content below changes.
const VERSION: u32 = 2;
const VCAP: u32 = 2000;
const COPIED: [&str; 12] = [
    "ssl/certs",
    "ssl/openssl.cnf",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "protocols",
    "services",
    "mime.types",
    "localtime",
    "timezone",
    "ca-certificates.conf",
];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\nvcap:x:2000:2000:vcap:/home/vcap:/bin/bash\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\nvcap:x:2000:\n";
const NSSWITCH: &str =
    "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";

/// The skeleton's directory; made anew when the host's `/etc` changed.
pub(crate) fn host(inner: &Inner) -> Result<PathBuf> {
    let _one_at_a_time = inner.making.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = inner
        .depot
        .root()
        .join("stacks")
        .join(format!("host-{:016x}", state_of_host(inner)));
    if dir.exists() {
        return Ok(dir);
    }
    if !Path::new("/bin").is_symlink() {
        return Err(Error::Keeper {
            step: "make the host stack".into(),
            message: "this host has /bin apart from /usr; build a stack and use that".into(),
        });
    }
    let new = dir.with_extension("new");
    // A half-made one of an earlier start.
    let _ = fs::remove_dir_all(&new);
    skeleton(inner, &new)?;
    fs::rename(&new, &dir).at("rename the host stack")?;
    Ok(dir)
}

fn state_of_host(inner: &Inner) -> u64 {
    let mut hash = DefaultHasher::new();
    VERSION.hash(&mut hash);
    inner.ca_bundle.hash(&mut hash);
    let sources = COPIED.iter().map(|name| Path::new("/etc").join(name));
    for path in sources.chain(inner.ca_bundle.clone()) {
        fs::metadata(path)
            .map(|m| (m.mtime(), m.size()))
            .ok()
            .hash(&mut hash);
    }
    hash.finish()
}

fn skeleton(inner: &Inner, dir: &Path) -> Result<()> {
    let directories = [
        "etc",
        "usr",
        "proc",
        "dev",
        "sys",
        "run",
        "opt",
        "mnt",
        "srv",
        "root",
        "tmp",
        "var/tmp",
        "var/lib",
        "var/log",
        "var/cache",
        "home/vcap/app",
        "home/vcap/logs",
        "home/vcap/tmp",
    ];
    for name in directories {
        fs::create_dir_all(dir.join(name)).at(format!("mkdir {name}"))?;
    }
    for name in ["tmp", "var/tmp"] {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o1777))
            .at(format!("chmod {name}"))?;
    }
    for name in [
        "home/vcap",
        "home/vcap/app",
        "home/vcap/logs",
        "home/vcap/tmp",
    ] {
        chown(dir.join(name), Some(VCAP), Some(VCAP)).at(format!("chown {name}"))?;
    }
    for name in ["bin", "lib", "lib32", "lib64", "libx32", "sbin"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            symlink(target, dir.join(name)).at(format!("link {name}"))?;
        }
    }
    symlink("/home/vcap/app", dir.join("app")).at("link app")?;
    symlink("/run", dir.join("var/run")).at("link var/run")?;
    etc(inner, &dir.join("etc"))
}

fn etc(inner: &Inner, etc: &Path) -> Result<()> {
    for name in COPIED {
        let target = etc.join(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).at(format!("mkdir {}", parent.display()))?;
        }
        copy(&Path::new("/etc").join(name), &target)?;
    }
    for (name, text) in [
        ("passwd", PASSWD),
        ("group", GROUP),
        ("nsswitch.conf", NSSWITCH),
    ] {
        fs::write(etc.join(name), text).at(format!("write {name}"))?;
    }
    if let Some(bundle) = &inner.ca_bundle {
        let target = etc.join("ssl/certs/ca-certificates.crt");
        fs::create_dir_all(etc.join("ssl/certs")).at("mkdir ssl/certs")?;
        // What was copied may be a link to elsewhere.
        let _ = fs::remove_file(&target);
        fs::copy(bundle, &target).at(format!("copy {}", bundle.display()))?;
    }
    symlink("/proc/self/mounts", etc.join("mtab")).at("link mtab")
}

/// Copies a file, link or directory; what the host lacks is left out.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let step = || format!("copy {}", from.display());
    let Ok(meta) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    if meta.is_symlink() {
        return symlink(fs::read_link(from).at(step())?, to).at(step());
    }
    if meta.is_file() {
        return fs::copy(from, to).map(drop).at(step());
    }
    fs::create_dir_all(to).at(step())?;
    for entry in fs::read_dir(from).at(step())?.flatten() {
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The host's certificate bundle.
pub(crate) fn find_ca_bundle() -> Option<PathBuf> {
    let usual = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    usual.iter().map(PathBuf::from).find(|path| path.is_file())
}
