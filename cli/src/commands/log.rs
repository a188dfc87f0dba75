//! `cf logs`.

use futures_util::StreamExt;

use crate::context::{Context, guid};
use crate::error::CfError;
use crate::line::{Group, Json, NONE, Spec, arg, switch};
use crate::logs;

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "logs",
    group: Group::Apps,
    about: "Tail or show recent logs for an app",
    args: &[arg("APP_NAME", "App name")],
    flags: &[switch("--recent", "Dump recent logs instead of tailing")],
    notes: "--json prints one object per line: message, source_instance, source_type,\nstream (OUT, ERR), timestamp (Unix nanoseconds).",
    json: Json::Raw,
    run: |cx, args| Box::pin(run(cx, args.need("APP_NAME"), args.has("recent"))),
    ..NONE
}];

/// Follows an app's log, or prints the recent lines.
async fn run(cx: &mut Context, name: &str, recent: bool) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    let guid = guid(&app).to_owned();
    if recent {
        let lines = logs::recent(&mut cx.client, &guid).await?;
        connected(cx, "dumping recent", name);
        lines.iter().for_each(|line| print(cx, line));
        return Ok(());
    }
    let mut stream = logs::stream(&mut cx.client, &guid).await?;
    // Not a moment earlier: what is logged once this stands there is shown.
    connected(cx, "tailing", name);
    while let Some(line) = stream.next().await {
        print(cx, &line);
    }
    Err(CfError::Other(
        "the log server closed the stream\nTIP: run the command again to go on".into(),
    ))
}

fn connected(cx: &Context, doing: &str, name: &str) {
    cx.ui.say(&format!(
        "Connected, {doing} logs for app {} {}\n",
        cx.ui.name(name),
        cx.place()
    ));
}

fn print(cx: &Context, line: &logs::LogMessage) {
    let text = if cx.ui.json {
        line.json().to_string()
    } else {
        line.line()
    };
    cx.ui.raw(&text);
}
