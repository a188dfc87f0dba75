//! copy-source.

use serde_json::json;

use super::{life, start};
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Group, NONE, Spec, arg, option, switch};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "copy-source",
    group: Group::Apps,
    about: "Copy the source code of an app to another existing app (and restart that app)",
    args: &[
        arg("SOURCE_APP", "App to copy from"),
        arg("TARGET_APP", "App to copy to"),
    ],
    flags: &[
        option("-s", "TARGET_SPACE", "Space of the target app"),
        option("-o", "TARGET_ORG", "Org of the target app"),
        switch("--no-restart", "Do not restart the target app"),
    ],
    run: |cx, args| Box::pin(copy(cx, args)),
    ..NONE
}];

async fn copy(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    if args.get("o").is_some() && args.get("s").is_none() {
        return Err(CfError::Usage(
            "-o needs -s: which space of that org?".into(),
        ));
    }
    let (from, to) = (args.need("SOURCE_APP"), args.need("TARGET_APP"));
    // The job may outlive the token that starts it.
    cx.client.refresh().await?;
    let source = cx.app(from).await?;
    retarget(cx, args).await?;
    let target = cx.app(to).await?;
    cx.announce_in_space(&format!(
        "Copying source from app {} to target app {}",
        cx.ui.name(from),
        cx.ui.name(to)
    ));
    let path = format!("/v2/apps/{}/copy_bits?async=true", guid(&target));
    let body = json!({"source_app_guid": guid(&source)});
    let job = cx.client.post(&path, &body).await?;
    crate::jobs::wait(&mut cx.client, job).await?;
    cx.ui.ok();
    if args.has("no-restart") {
        return Ok(());
    }
    if text(&target, "state") == "STARTED" {
        life::stop_app(cx, &target).await?;
    }
    start::start_app(cx, guid(&target), to).await
}

/// Looks into another space for the rest of the command; the session file keeps
/// what it has, since nothing is saved here.
async fn retarget(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let mut org = cx.org()?;
    if let Some(name) = args.get("o") {
        let found = cx.org_named(name).await?;
        org.guid = guid(&found).into();
        org.name = name.into();
    }
    if let Some(name) = args.get("s") {
        let space = cx.space_in(&org.guid, name).await?;
        let chosen = &mut cx.client.config.space_fields;
        chosen.guid = guid(&space).into();
        chosen.name = name.into();
        cx.client.config.organization_fields = org;
    }
    Ok(())
}
