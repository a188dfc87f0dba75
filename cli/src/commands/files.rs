//! `cf files`.

use http::Method;

use crate::context::{Context, guid};
use crate::error::CfError;

/// Prints a directory or a file of an instance.
pub(super) async fn run(
    cx: &mut Context,
    name: &str,
    path: &str,
    instance: u32,
) -> Result<(), CfError> {
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
    cx.ui.result(answer.body.trim_end());
    Ok(())
}
