//! `cf files`.

use http::Method;

use crate::context::{Context, guid};
use crate::error::CfError;
use crate::line::{Args, Group, Json, NONE, Spec, arg, maybe, option};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "files",
    alias: "f",
    group: Group::Apps,
    about: "Print out a list of files in a directory or the contents of a specific file",
    args: &[
        arg("APP_NAME", "App name"),
        maybe("PATH", "Path below the app's home"),
    ],
    flags: &[option("-i", "INSTANCE", "Instance index, 0 when left out")],
    json: Json::Raw,
    run: |cx, args| Box::pin(run(cx, args)),
    ..NONE
}];

/// Prints a directory or a file of an instance.
async fn run(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (name, path) = (args.need("APP_NAME"), args.get("PATH").unwrap_or("/"));
    let instance: u32 = args.number("i")?.unwrap_or(0);
    let app = cx.app(name).await?;
    cx.ui.say(&format!(
        "Getting files for app {} {}",
        cx.ui.name(name),
        cx.place()
    ));
    let url = format!(
        "/v2/apps/{}/instances/{instance}/files/{}",
        guid(&app),
        path.trim_start_matches('/')
    );
    let answer = cx.client.raw(Method::GET, &url, None, &[]).await?;
    if answer.status >= 400 {
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
        return Err(CfError::Api {
            status: answer.status,
            code: body["code"].as_i64().unwrap_or(0),
            error_code: body["error_code"].as_str().unwrap_or_default().into(),
            description: body["description"].as_str().unwrap_or(&answer.body).into(),
        });
    }
    cx.ui.ok();
    cx.ui.raw(answer.body.trim_end());
    Ok(())
}
