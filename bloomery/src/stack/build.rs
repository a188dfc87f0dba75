//! The whole build, step by step.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::apt::Apt;
use super::error::StackError;
use super::progress::mb;
use super::receipt::{self, Receipt};
use super::recipe::Recipe;
use super::shelf::{Shelf, remove};
use super::{NAME, bootstrap, digest, host, sources};
use crate::args::BuildStack;

/// Builds the stack, or says that it is built already.
pub fn build(flags: &BuildStack, out: &Path) -> Result<(), StackError> {
    let began = Instant::now();
    let shelf = Shelf::take(out.join(NAME))?;
    let dir = shelf.dir();
    host::check(dir, flags.profile)?;
    let sources = sources::find(flags.sources.as_deref())?;
    let recipe = recipe(flags, &sources)?;
    if let Some(receipt) = built_before(dir, &recipe).filter(|_| !flags.again) {
        say!(
            "{NAME} ({}) is built already: {}",
            flags.profile.name(),
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
    let apt = Apt::prepare(&shelf.work(), &sources)?;
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
    let root = shelf.work().join("root");
    remove(&root)?;
    bootstrap::run(&apt, &recipe, &sources, &root, wanted.len() as u64)?;
    say!("4/4 Naming it by its digest");
    let (sha1, bytes) = digest::of(&root)?;
    let receipt = Receipt {
        name: NAME.into(),
        profile: Some(flags.profile),
        description: None,
        sha1,
        recipe: recipe.id(),
        bytes,
        fetched_bytes,
        seconds: began.elapsed().as_secs(),
        packages: packages_of(&root)?,
    };
    shelf.keep(&root, &receipt)?;
    shelf.tell("Built", &receipt);
    Ok(())
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
