//! `cf logs`.

use futures_util::StreamExt;

use crate::context::{Context, guid};
use crate::error::CfError;
use crate::logs;

/// Follows an app's log, or prints the recent lines.
pub(super) async fn run(cx: &mut Context, name: &str, recent: bool) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    let guid = guid(&app).to_owned();
    cx.ui.say(&format!(
        "Connected, {} logs for app {} {}\n",
        if recent { "dumping recent" } else { "tailing" },
        cx.ui.name(name),
        cx.place()
    ));
    if recent {
        for line in logs::recent(&mut cx.client, &guid).await? {
            print(cx, &line);
        }
        return Ok(());
    }
    let mut stream = logs::stream(&cx.client, &guid).await?;
    while let Some(line) = stream.next().await {
        print(cx, &line);
    }
    Err(CfError::Other(
        "the log server closed the stream\nTIP: run the command again to go on".into(),
    ))
}

fn print(cx: &Context, line: &logs::LogMessage) {
    let text = if cx.ui.json {
        line.json().to_string()
    } else {
        line.line()
    };
    cx.ui.result(&text);
}
