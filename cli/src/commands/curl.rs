//! `cf curl`.

use crate::context::Context;
use crate::error::CfError;
use crate::line::{Args, Flag, Group, Json, NONE, Spec, arg, option, switch};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "curl",
    group: Group::Advanced,
    about: "Executes a request to the targeted API endpoint",
    args: &[arg("PATH", "Path, e.g. /v2/apps")],
    flags: &[
        option("-X", "METHOD", "Method"),
        Flag {
            many: true,
            ..option("-H", "HEADER", "Header, repeatable")
        },
        option("-d", "DATA", "Body, or @FILE"),
        option("--output", "FILE", "Write the body into a file"),
        switch("-i", "Print response headers too"),
        switch("--fail, -f", "Exit 22 on an HTTP error"),
    ],
    json: Json::Raw,
    run: |cx, args| Box::pin(run(cx, args)),
    ..NONE
}];

/// Sends any request and prints the body, also on errors.
async fn run(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let body = args.get("d").map(read_data).transpose()?;
    let default = if body.is_some() { "POST" } else { "GET" };
    let method = args.get("X").unwrap_or(default);
    let method = method
        .to_uppercase()
        .parse()
        .map_err(|_| CfError::Usage(format!("{method:?} is no HTTP method")))?;
    let headers = args
        .all("H")
        .into_iter()
        .map(header)
        .collect::<Result<Vec<_>, _>>()?;
    let answer = cx
        .client
        .raw(method, args.need("PATH"), body.as_deref(), &headers)
        .await?;
    if args.has("i") {
        cx.ui.raw(&format!(
            "HTTP/1.1 {}\n{}\n",
            answer.status,
            answer.headers.join("\n")
        ));
    }
    match args.get("output") {
        Some(file) => std::fs::write(file, &answer.body).map_err(CfError::file(file))?,
        None => cx.ui.raw(answer.body.trim_end()),
    }
    match args.has("fail") && answer.status >= 400 {
        true => Err(CfError::Exit(22)),
        false => Ok(()),
    }
}

fn read_data(data: &str) -> Result<String, CfError> {
    match data.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(CfError::file(path)),
        None => Ok(data.to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), CfError> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| CfError::Usage(format!("header {text:?} needs a colon")))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
