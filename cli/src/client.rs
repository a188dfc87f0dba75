//! The controller's HTTP API: JSON in and out, errors as the controller words
//! them, one silent refresh of an expired token.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::config::Config;
use crate::error::CfError;

/// A session with a controller.
pub struct Client {
    /// The session.
    pub config: Config,
    http: reqwest::Client,
}

/// What an answer came as.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `name: value` lines.
    pub headers: Vec<String>,
    /// Body.
    pub body: String,
}

/// A value inside a query string.
pub fn escape(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Client {
    /// A client for the stored session.
    pub fn new(config: Config) -> Result<Self, CfError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bloomery-cf/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(900))
            .build()
            .map_err(|e| CfError::Other(format!("HTTP client: {e}")))?;
        Ok(Self { config, http })
    }

    fn url(&self, path: &str) -> Result<String, CfError> {
        match path {
            absolute if absolute.starts_with("http") => Ok(absolute.into()),
            _ if self.config.target.is_empty() => Err(CfError::NoTarget),
            _ => Ok(format!("{}{path}", self.config.target)),
        }
    }

    /// GET without a token.
    pub async fn get_open(&self, path: &str) -> Result<Value, CfError> {
        let url = self.url(path)?;
        let request = self.http.get(&url).header("accept", "application/json");
        parse(read(&url, request.send().await).await?)
    }

    /// GET.
    pub async fn get(&mut self, path: &str) -> Result<Value, CfError> {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, CfError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT.
    pub async fn put(&mut self, path: &str, body: &Value) -> Result<Value, CfError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&mut self, path: &str) -> Result<Value, CfError> {
        self.call(Method::DELETE, path, None).await
    }

    /// DELETE with a body: taking a role from a user who is known by name.
    pub async fn delete_with(&mut self, path: &str, body: &Value) -> Result<Value, CfError> {
        self.call(Method::DELETE, path, Some(body)).await
    }

    /// DELETE of what may take longer: waits for the job that the answer names.
    pub async fn delete_and_wait(&mut self, path: &str) -> Result<(), CfError> {
        let job = self.delete(path).await?;
        crate::jobs::wait(self, job).await
    }

    /// The first resource of a list, if there is one.
    pub async fn first(&mut self, path: &str) -> Result<Option<Value>, CfError> {
        Ok(self.list(path).await?.into_iter().next())
    }

    /// The same for a relation that an older controller may not know.
    pub async fn list_if_known(&mut self, path: &str) -> Result<Vec<Value>, CfError> {
        match self.list(path).await {
            Err(CfError::Api { status: 404, .. }) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Every resource of a list, following `next_url`.
    pub async fn list(&mut self, path: &str) -> Result<Vec<Value>, CfError> {
        let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let mut page = self.get(&path).await?;
            match page["resources"].take() {
                Value::Array(resources) => all.extend(resources),
                _ => return Err(CfError::BadAnswer(format!("{path}: no resources"))),
            }
            next = page["next_url"]
                .as_str()
                .filter(|u| !u.is_empty())
                .map(str::to_owned);
        }
        Ok(all)
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CfError> {
        let text = body.map(Value::to_string);
        parse(self.raw(method, path, text.as_deref(), &[]).await?)
    }

    /// Any request with the session's token, refreshed once when it has expired.
    pub async fn raw(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Answer, CfError> {
        let answer = self.once(method.clone(), path, body, headers).await?;
        if answer.status != 401
            || !["CF-InvalidAuthToken", "invalid_token"]
                .iter()
                .any(|e| answer.body.contains(e))
            || self.config.refresh_token.is_empty()
        {
            return Ok(answer);
        }
        self.refresh().await?;
        self.once(method, path, body, headers).await
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Answer, CfError> {
        let url = self.url(path)?;
        self.trace(&format!("REQUEST: {method} {url}"));
        let mut request = self
            .http
            .request(method, &url)
            .header("accept", "application/json");
        if !self.config.access_token.is_empty() {
            request = request.header("authorization", &self.config.access_token);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let answer = read(&url, request.send().await).await?;
        self.trace(&format!("RESPONSE: {} {url}", answer.status));
        Ok(answer)
    }

    /// CF_TRACE and `cf config --trace`: requests without headers and bodies, since
    /// those hold secrets.
    fn trace(&self, line: &str) {
        let asked = std::env::var("CF_TRACE").unwrap_or_else(|_| self.config.trace.clone());
        if asked == "true" || asked == "1" {
            eprintln!("{line}");
        }
    }

    /// Uploads a multipart form; the token is refreshed before, since a body that
    /// is streamed cannot be sent again.
    pub async fn upload(
        &mut self,
        path: &str,
        form: reqwest::multipart::Form,
    ) -> Result<Value, CfError> {
        let url = self.url(path)?;
        let request = self
            .http
            .put(&url)
            .header("authorization", &self.config.access_token)
            .multipart(form);
        parse(read(&url, request.send().await).await?)
    }

    /// Password grant.
    pub async fn log_in(&mut self, user: &str, password: &str) -> Result<(), CfError> {
        let form = [
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
            ("scope", ""),
        ];
        self.token(&form).await
    }

    /// Refresh grant; stores the new tokens.
    pub async fn refresh(&mut self) -> Result<(), CfError> {
        if self.config.refresh_token.is_empty() {
            return Err(CfError::NotLoggedIn);
        }
        let token = self.config.refresh_token.clone();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &token),
            ("scope", ""),
        ];
        self.token(&form).await.map_err(|e| match e {
            CfError::Rejected => CfError::NotLoggedIn,
            other => other,
        })
    }

    async fn token(&mut self, form: &[(&str, &str)]) -> Result<(), CfError> {
        if self.config.authorization_endpoint.is_empty() {
            return Err(CfError::NoTarget);
        }
        let url = format!("{}/oauth/token", self.config.authorization_endpoint);
        let request = self.http.post(&url).basic_auth("cf", Some("")).form(form);
        let answer = read(&url, request.send().await).await?;
        if answer.status == 401 {
            // A locked account says so; anything else is a plain rejection.
            let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let text = said["error_description"].as_str().unwrap_or_default();
            return Err(match text.contains("lock") {
                true => CfError::Other(text.to_owned()),
                false => CfError::Rejected,
            });
        }
        let value = parse(answer)?;
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        self.config.access_token = format!("{} {}", text("token_type"), text("access_token"));
        if !text("refresh_token").is_empty() {
            self.config.refresh_token = text("refresh_token");
        }
        self.config.save()
    }
}

async fn read(
    url: &str,
    sent: Result<reqwest::Response, reqwest::Error>,
) -> Result<Answer, CfError> {
    let unreachable = |e: reqwest::Error| CfError::Unreachable {
        url: url.to_owned(),
        reason: causes(&e.without_url()),
    };
    let answer = sent.map_err(unreachable)?;
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap_or("?")))
        .collect();
    let body = answer.text().await.map_err(unreachable)?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn parse(answer: Answer) -> Result<Value, CfError> {
    let good = StatusCode::from_u16(answer.status).is_ok_and(|s| s.is_success());
    if good {
        return match answer.body.trim().is_empty() {
            true => Ok(Value::Null),
            false => {
                serde_json::from_str(&answer.body).map_err(|e| CfError::BadAnswer(e.to_string()))
            }
        };
    }
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if answer.status == 401 {
        return Err(CfError::NotLoggedIn);
    }
    Err(CfError::Api {
        status: answer.status,
        code: body["code"].as_i64().unwrap_or(0),
        error_code: body["error_code"].as_str().unwrap_or_default().into(),
        description: body["description"]
            .as_str()
            .or(body["error_description"].as_str())
            .map_or_else(|| answer.body.chars().take(300).collect(), Into::into),
    })
}
