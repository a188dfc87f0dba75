//! `cf curl`.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::CfError;

/// Sends any request and prints the body, also on errors.
pub(super) async fn run(
    cx: &mut Context,
    path: &str,
    method: Option<String>,
    headers: &[String],
    data: Option<String>,
    include: bool,
    fail: bool,
) -> Result<ExitCode, CfError> {
    let body = data.map(|d| read_data(&d)).transpose()?;
    let method = method.unwrap_or_else(|| {
        if body.is_some() {
            "POST".into()
        } else {
            "GET".into()
        }
    });
    let method = method
        .to_uppercase()
        .parse()
        .map_err(|_| CfError::Usage(format!("{method:?} is no HTTP method")))?;
    let headers = headers
        .iter()
        .map(|h| header(h))
        .collect::<Result<Vec<_>, _>>()?;
    let answer = cx
        .client
        .raw(method, path, body.as_deref(), &headers)
        .await?;
    if include {
        cx.ui.result(&format!(
            "HTTP/1.1 {}\n{}\n",
            answer.status,
            answer.headers.join("\n")
        ));
    }
    cx.ui.result(answer.body.trim_end());
    Ok(if fail && answer.status >= 400 {
        ExitCode::from(22)
    } else {
        ExitCode::SUCCESS
    })
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
