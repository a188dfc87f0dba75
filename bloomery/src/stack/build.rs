//! The whole build, step by step.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::apt::Apt;
use super::error::StackError;
use super::progress::mb;
use super::receipt::{self, Receipt};
use super::recipe::Recipe;
use super::{NAME, bootstrap, digest, host, sources};
use crate::args::BuildStack;

/// Builds the stack, or says that it is built already.
pub fn build(flags: &BuildStack, out: &Path) -> Result<(), StackError> {
    let began = Instant::now();
    let dir = out.join(NAME);
    fs::create_dir_all(&dir).map_err(StackError::file("make the directory", &dir))?;
    host::check(&dir, flags.profile)?;
    let _turn = lock(&dir)?;
    let sources = sources::find(flags.sources.as_deref())?;
    let recipe = recipe(flags, &sources)?;
    if let Some(receipt) = built_before(&dir, &recipe).filter(|_| !flags.again) {
        say!(
            "{NAME} ({}) is built already: {}",
            receipt.profile.name(),
            dir.join(&receipt.sha1).display()
        );
        say!(
            "  {} packages, {} MB; --again fetches newer versions",
            receipt.packages.len(),
            mb(receipt.bytes)
        );
        return Ok(());
    }
    say!(
        "Building the stack {NAME} ({}) in {}",
        flags.profile.name(),
        dir.display()
    );
    let work = dir.join("work");
    let apt = Apt::prepare(&work, &sources)?;
    say!("1/4 Reading the package lists");
    apt.update()?;
    let wanted = apt.plan(flags.profile)?;
    let fetched_bytes = wanted.iter().map(|w| w.size).sum();
    say!(
        "2/4 Fetching {} packages, {} MB ({} MB are here)",
        wanted.len(),
        mb(fetched_bytes),
        mb(apt.fetched(&wanted))
    );
    apt.fetch(flags.profile, &wanted)?;
    say!("3/4 Installing {} packages", wanted.len());
    let root = work.join("root");
    remove(&root)?;
    bootstrap::run(&apt, &recipe, &sources, &root, wanted.len() as u64)?;
    say!("4/4 Naming it by its digest");
    let (sha1, bytes) = digest::of(&root)?;
    let receipt = Receipt {
        name: NAME.into(),
        profile: flags.profile,
        sha1,
        recipe: recipe.id(),
        bytes,
        fetched_bytes,
        seconds: began.elapsed().as_secs(),
        packages: packages_of(&root)?,
    };
    keep(&dir, &root, &receipt)?;
    remove(&work)?;
    tell(&dir, &receipt);
    Ok(())
}

fn lock(dir: &Path) -> Result<fs::File, StackError> {
    let path = dir.join("lock");
    let file = fs::File::create(&path).map_err(StackError::file("open", &path))?;
    file.try_lock().map_err(|_| StackError::Busy(dir.into()))?;
    Ok(file)
}

fn recipe(flags: &BuildStack, sources: &sources::Sources) -> Result<Recipe, StackError> {
    let ca_bundle = host::ca_bundle();
    let ca_text = match &ca_bundle {
        Some(path) => fs::read(path).map_err(StackError::file("read", path))?,
        None => Vec::new(),
    };
    let texts: Vec<&str> = sources.iter().map(|(_, text)| text.as_str()).collect();
    Ok(Recipe {
        profile: flags.profile,
        sources: texts.join("\n"),
        ca_bundle,
        ca_text,
    })
}

fn built_before(dir: &Path, recipe: &Recipe) -> Option<Receipt> {
    Receipt::read(dir).filter(|r| r.recipe == recipe.id() && dir.join(&r.sha1).join("bin").exists())
}

fn packages_of(root: &Path) -> Result<Vec<String>, StackError> {
    let path = root.join("var/lib/dpkg/status");
    let text = fs::read_to_string(&path).map_err(StackError::file("read", path))?;
    Ok(receipt::installed(&text))
}

/// The receipt is written last: what it names is complete.
fn keep(dir: &Path, root: &Path, receipt: &Receipt) -> Result<(), StackError> {
    let target = dir.join(&receipt.sha1);
    if target.exists() {
        remove(root)?;
    } else {
        fs::rename(root, &target).map_err(StackError::file("move the stack to", &target))?;
    }
    receipt.write(dir)
}

fn remove(path: &Path) -> Result<(), StackError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(StackError::file("remove", path)(e))
        }
        _ => Ok(()),
    }
}

fn tell(dir: &Path, receipt: &Receipt) {
    say!(
        "Built {} in {} s: {}",
        receipt.name,
        receipt.seconds,
        dir.join(&receipt.sha1).display()
    );
    say!(
        "  {} packages, {} MB fetched, {} MB of files",
        receipt.packages.len(),
        mb(receipt.fetched_bytes),
        mb(receipt.bytes)
    );
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_digest = |name: &str| name.len() == 40 && name != receipt.sha1;
    let older = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|name| is_digest(name));
    for name in older {
        say!(
            "  An older build is kept for the containers that run on it: {}",
            dir.join(name).display()
        );
    }
    say!(
        "\nNext: `bloomery up` offers it (again, if the platform is up); `cf push NAME -s {}`",
        receipt.name
    );
}
