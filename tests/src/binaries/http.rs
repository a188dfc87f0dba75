//! Raw HTTP, for what no command types.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::platform::Platform;

/// Longest wait for one answer: a story that wants patience repeats its request.
const LIMIT: Duration = Duration::from_secs(15);

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header `Retry-After`.
    pub retry_after: Option<String>,
    /// Body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON, null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

async fn complete(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.timeout(LIMIT).send().await?;
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after");
    let retry_after = header.and_then(|v| v.to_str().ok()).map(str::to_owned);
    Ok(Answer {
        status,
        retry_after,
        body: response.text().await?,
    })
}

impl Platform {
    /// One request and its complete answer, on a connection of its own.
    pub(super) fn fetch(
        &self,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        runtime.block_on(async {
            let client = Client::builder()
                .no_proxy()
                .build()
                .map_err(|e| e.to_string())?;
            complete(request(&client))
                .await
                .map_err(|e| format!("{e:?}"))
        })
    }

    /// A request to the API with the administrator's token.
    pub fn api(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, String> {
        let (url, token) = (self.api_url(path), self.token());
        self.fetch(|http| {
            let request = http.request(method, url).header("Authorization", token);
            match body {
                Some(body) => request.json(&body),
                None => request,
            }
        })
    }

    /// Uploads a file as a multipart form, with further text fields.
    pub fn upload(
        &self,
        path: &str,
        field: &'static str,
        file: Vec<u8>,
        texts: &[(&'static str, &'static str)],
    ) -> Answer {
        let (url, token) = (self.api_url(path), self.token());
        let mut form = Form::new().part(field, Part::bytes(file).file_name("upload.zip"));
        for (name, text) in texts {
            form = form.text(*name, *text);
        }
        let sent = self.fetch(|http| http.put(url).header("Authorization", token).multipart(form));
        sent.unwrap_or_else(|e| panic!("upload to {path}: {e}"))
    }

    /// A component's own numbers.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn varz(&self, component: &str) -> Value {
        let settings = self.settings();
        let url = format!(
            "http://127.0.0.1:{}/varz",
            settings["status_ports"][component]
        );
        let password = settings["secrets"]["status"].as_str().map(str::to_owned);
        let answer = self.fetch(|http| http.get(url).basic_auth("status", password));
        answer.unwrap_or_else(|e| panic!("{component}: {e}")).json()
    }

    fn api_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.settings()["api_port"])
    }

    fn token(&self) -> String {
        let path = self.cf_home().join(".cf/config.json");
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let session: Value = serde_json::from_slice(&text).unwrap_or_default();
        session["AccessToken"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
