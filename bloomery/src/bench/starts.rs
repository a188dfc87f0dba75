//! From the order to start an instance to its first answer through the router.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::json;

use crate::demo::cf::Cf;
use crate::error::Error;

/// How often an app is started.
const ROUNDS: usize = 30;
/// How often the router is asked.
const LOOK: Duration = Duration::from_millis(1);
/// An instance that has not answered or gone by then never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// One staged app and the ways to it.
pub(super) struct Subject {
    /// Client for both.
    pub(super) http: Client,
    /// Address of the API.
    pub(super) api: String,
    /// Address of the router.
    pub(super) router: String,
    /// The app's host name.
    pub(super) host: String,
}

/// Stops and starts the app over and over; prints median and slowest tenth.
pub(super) async fn measure(cf: &Cf, app: &str, subject: &Subject) -> Result<(), Error> {
    let guid = cf.run(&["app", app, "--guid"]).map_err(Error::Usage)?;
    let token = cf.run(&["oauth-token"]).map_err(Error::Usage)?;
    let token = token.lines().last().unwrap_or_default().trim().to_owned();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        subject.order(&guid, &token, "STOPPED").await?;
        subject
            .until(|status| status == StatusCode::NOT_FOUND)
            .await?;
        let began = Instant::now();
        subject.order(&guid, &token, "STARTED").await?;
        subject.until(|status| status == StatusCode::OK).await?;
        times.push(began.elapsed());
    }
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    say!(
        "{:<44} {:>7.0} ms, 9 of 10 within {:.0} ms",
        "start order to first routed answer, median",
        milliseconds(at(0.5)),
        milliseconds(at(0.9))
    );
    Ok(())
}

impl Subject {
    async fn order(&self, guid: &str, token: &str, state: &str) -> Result<(), Error> {
        let url = format!("{}/v2/apps/{}", self.api, guid.trim());
        let request = self.http.put(url).header("authorization", token);
        let answer = request.json(&json!({"state": state})).send().await;
        answer
            .and_then(reqwest::Response::error_for_status)
            .map(drop)
            .map_err(|e| Error::Usage(e.to_string()))
    }

    async fn until(&self, wanted: impl Fn(StatusCode) -> bool) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < deadline {
            let request = self.http.get(&self.router).header("host", &self.host);
            let answer = request.send().await;
            let status = answer.map(|answer| answer.status()).ok();
            if status.is_some_and(&wanted) {
                return Ok(());
            }
            last = status;
            tokio::time::sleep(LOOK).await;
        }
        Err(Error::Usage(format!(
            "{} did not come to the wanted answer within {} s; the last was {last:?}",
            self.host,
            PATIENCE.as_secs()
        )))
    }
}
