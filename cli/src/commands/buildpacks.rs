//! buildpacks, create-buildpack, update-buildpack, rename-buildpack, delete-buildpack.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::agreed;
use crate::bits;
use crate::context::{Context, guid};
use crate::error::CfError;
use crate::line::{Arg, Args, Flag, Group, Json, NONE, Spec, arg, option, switch};
use crate::ui::column;

const NAME: Arg = arg("BUILDPACK", "Buildpack name");
const ENABLE: Flag = switch("--enable", "Enable the buildpack to be used for staging");
const DISABLE: Flag = switch(
    "--disable",
    "Disable the buildpack from being used for staging",
);

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "buildpacks",
        group: Group::Buildpacks,
        about: "List all buildpacks",
        json: Json::List(&["enabled", "filename", "guid", "locked", "name", "position"]),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "create-buildpack",
        group: Group::Buildpacks,
        about: "Create a buildpack",
        args: &[
            NAME,
            arg("PATH", "Zip file or directory"),
            arg("POSITION", "Place in the order of detection, from 1"),
        ],
        flags: &[ENABLE, DISABLE],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "update-buildpack",
        group: Group::Buildpacks,
        about: "Update a buildpack",
        args: &[NAME],
        flags: &[
            option("-p", "PATH", "Zip file or directory"),
            option("-i", "POSITION", "Place in the order of detection"),
            ENABLE,
            DISABLE,
            switch("--lock", "Refuse updates"),
            switch("--unlock", "Allow updates"),
        ],
        run: |cx, args| Box::pin(update(cx, args)),
        ..NONE
    },
    Spec {
        name: "rename-buildpack",
        group: Group::Buildpacks,
        about: "Rename a buildpack",
        args: &[NAME, arg("NEW_BUILDPACK", "New name")],
        run: |cx, args| Box::pin(rename(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-buildpack",
        group: Group::Buildpacks,
        about: "Delete a buildpack",
        args: &[NAME],
        flags: &[switch("-f", "Do not ask")],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
];

async fn list(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    cx.ui.say("Getting buildpacks...\n");
    let buildpacks = cx.client.list("/v2/buildpacks").await?;
    let row = |b: &Value| {
        let e = &b["entity"];
        json!({
            "guid": guid(b), "name": e["name"], "position": e["position"], "enabled": e["enabled"],
            "locked": e["locked"], "filename": e["filename"],
        })
    };
    let shown = [
        column("buildpack", "name"),
        column("position", "position"),
        column("enabled", "enabled"),
        column("locked", "locked"),
        column("filename", "filename"),
    ];
    cx.ui.list(
        &shown,
        buildpacks.iter().map(row).collect(),
        "No buildpacks found",
    );
    Ok(())
}

/// A pair of switches of which one may be given.
fn either(args: &Args, on: &str, off: &str) -> Result<Option<bool>, CfError> {
    match (args.has(on), args.has(off)) {
        (true, true) => Err(CfError::Usage(format!(
            "--{on} and --{off} cannot be given together"
        ))),
        (false, false) => Ok(None),
        (on, _) => Ok(Some(on)),
    }
}

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("BUILDPACK");
    let archive = Archive::of(Path::new(args.need("PATH")))?;
    let mut body = json!({"name": name, "position": args.number::<u64>("POSITION")?});
    if let Some(enabled) = either(args, "enable", "disable")? {
        body["enabled"] = enabled.into();
    }
    cx.ui
        .say(&format!("Creating buildpack {}...", cx.ui.name(name)));
    let made = match cx.client.post("/v2/buildpacks", &body).await {
        Err(e) if e.code() == Some(290001) => {
            cx.ui.ok();
            cx.ui.warn(&format!("Buildpack {name} already exists"));
            cx.ui.say(&format!(
                "TIP: use 'cf update-buildpack {name}' to update this buildpack"
            ));
            return Ok(());
        }
        made => made?,
    };
    cx.ui.ok();
    send(cx, name, guid(&made), &archive).await
}

async fn update(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("BUILDPACK");
    let mut body = Map::new();
    if let Some(position) = args.number::<u64>("i")? {
        body.insert("position".into(), position.into());
    }
    let switches = [
        ("enabled", either(args, "enable", "disable")?),
        ("locked", either(args, "lock", "unlock")?),
    ];
    for (key, value) in switches {
        if let Some(value) = value {
            body.insert(key.into(), value.into());
        }
    }
    let archive = args.get("p").map(|p| Archive::of(Path::new(p)));
    let archive = archive.transpose()?;
    if archive.is_some() && args.has("lock") {
        return Err(CfError::Usage(
            "-p and --lock cannot be given together: a locked buildpack takes no bits".into(),
        ));
    }
    let buildpack = cx.buildpack_named(name).await?;
    cx.ui
        .say(&format!("Updating buildpack {}...", cx.ui.name(name)));
    if !body.is_empty() {
        let path = format!("/v2/buildpacks/{}", guid(&buildpack));
        cx.client.put(&path, &body.into()).await?;
    }
    match archive {
        Some(archive) => send(cx, name, guid(&buildpack), &archive).await,
        None => {
            cx.ui.ok();
            Ok(())
        }
    }
}

/// The zip that is uploaded: given, or packed from a directory.
struct Archive {
    path: PathBuf,
    file_name: String,
    _packed: Option<tempfile::NamedTempFile>,
}

impl Archive {
    fn of(path: &Path) -> Result<Self, CfError> {
        let meta = std::fs::metadata(path).map_err(CfError::file(path))?;
        let base = path.canonicalize().map_err(CfError::file(path))?;
        let base = base.file_name().unwrap_or_default().to_string_lossy();
        if meta.is_dir() {
            let packed = bits::zip(&bits::collect(path)?)?;
            return Ok(Self {
                path: packed.path().into(),
                file_name: format!("{base}.zip"),
                _packed: Some(packed),
            });
        }
        if !base.ends_with(".zip") {
            return Err(CfError::Usage(format!(
                "{} is no zip file: a buildpack is a .zip or a directory",
                path.display()
            )));
        }
        Ok(Self {
            path: path.into(),
            file_name: base.into_owned(),
            _packed: None,
        })
    }
}

async fn send(cx: &mut Context, name: &str, id: &str, archive: &Archive) -> Result<(), CfError> {
    cx.ui
        .say(&format!("Uploading buildpack {}...", cx.ui.name(name)));
    let part = bits::part(&cx.ui, &archive.path, &archive.file_name).await?;
    let form = reqwest::multipart::Form::new().part("buildpack", part);
    let path = format!("/v2/buildpacks/{id}/bits");
    cx.client.upload(&path, form).await?;
    cx.ui.say("Done uploading");
    cx.ui.ok();
    Ok(())
}

async fn rename(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let (name, new) = (args.need("BUILDPACK"), args.need("NEW_BUILDPACK"));
    cx.ui.say(&format!(
        "Renaming buildpack {} to {}...",
        cx.ui.name(name),
        cx.ui.name(new)
    ));
    let buildpack = cx.buildpack_named(name).await?;
    let path = format!("/v2/buildpacks/{}", guid(&buildpack));
    cx.client.put(&path, &json!({"name": new})).await?;
    cx.ui.ok();
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("BUILDPACK");
    if !agreed(args, &format!("buildpack {name}"))? {
        return Ok(());
    }
    cx.ui
        .say(&format!("Deleting buildpack {}...", cx.ui.name(name)));
    let buildpack = match cx.buildpack_named(name).await {
        Err(CfError::NotFound { .. }) => {
            cx.ui.ok();
            cx.ui.warn(&format!("Buildpack {name} does not exist."));
            return Ok(());
        }
        found => found?,
    };
    let path = format!("/v2/buildpacks/{}?async=true", guid(&buildpack));
    cx.client.delete_and_wait(&path).await?;
    cx.ui.ok();
    Ok(())
}
