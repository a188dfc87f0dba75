//! Jobs of the controller: what takes longer than a request.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::error::CfError;

/// Waits for a job, quickly at first; anything that is no job is done already.
pub async fn wait(client: &mut Client, mut job: Value) -> Result<(), CfError> {
    let minutes = client.config.async_timeout;
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    for round in 0u32.. {
        match job["entity"]["status"].as_str() {
            Some("failed") => return Err(failed(&job["entity"]["error_details"])),
            Some("queued" | "running") => {}
            _ => return Ok(()),
        }
        if minutes > 0 && Instant::now() > end {
            return Err(CfError::Other(format!(
                "the job is not done after {minutes} minutes; it goes on without us\nTIP: `cf config --async-timeout MINUTES` changes the limit"
            )));
        }
        let url = job["metadata"]["url"].as_str().unwrap_or_default();
        let url = url.to_owned();
        tokio::time::sleep(Duration::from_millis(20 << round.min(6))).await;
        job = client.get(&url).await?;
    }
    Ok(())
}

fn failed(details: &Value) -> CfError {
    CfError::Api {
        status: 400,
        code: details["code"].as_i64().unwrap_or(0),
        error_code: details["error_code"].as_str().unwrap_or_default().into(),
        description: details["description"]
            .as_str()
            .unwrap_or("the job failed")
            .into(),
    }
}
