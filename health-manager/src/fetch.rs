//! Desired state, page by page, from the controller's bulk API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::config::Config;
use crate::desired::Row;

/// Why a fetch was abandoned; what was known before stays.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("no page of desired state from {url}: {source}; is the controller running there?")]
    Request { url: String, source: reqwest::Error },
    #[error("{url} refused with {status}; check `bulk_api` in both configurations")]
    Refused {
        url: String,
        status: reqwest::StatusCode,
    },
    #[error("{url} answered something else than a page: {source}")]
    Unreadable { url: String, source: reqwest::Error },
    #[error("{url} repeats the bulk token {token}: paging would never end")]
    Endless { url: String, token: Value },
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    results: BTreeMap<String, Row>,
    #[serde(default)]
    bulk_token: Value,
}

/// The bulk API of one controller.
#[derive(Clone)]
pub(crate) struct Fetcher {
    http: reqwest::Client,
    url: String,
    user: String,
    password: String,
    batch_size: u32,
    page_timeout: Duration,
}

impl Fetcher {
    pub(crate) fn new(http: reqwest::Client, config: &Config) -> Self {
        Self {
            http,
            url: format!("{}/bulk/apps", config.controller.trim_end_matches('/')),
            user: config.bulk_api.user.clone(),
            password: config.bulk_api.password.clone(),
            batch_size: config.batch_size,
            page_timeout: config.page_timeout(),
        }
    }

    /// All rows, or nothing: a failed page abandons the cycle.
    pub(crate) async fn fetch(&self) -> Result<Vec<Row>, FetchError> {
        let mut rows = Vec::new();
        let mut token = json!({});
        loop {
            let page = self.page(&token).await?;
            if page.results.is_empty() {
                return Ok(rows);
            }
            if page.bulk_token == token {
                return Err(FetchError::Endless {
                    url: self.url.clone(),
                    token,
                });
            }
            rows.extend(page.results.into_values());
            token = page.bulk_token;
        }
    }

    async fn page(&self, token: &Value) -> Result<Page, FetchError> {
        let url = || self.url.clone();
        let query = [
            ("batch_size", self.batch_size.to_string()),
            ("bulk_token", token.to_string()),
        ];
        let request = self
            .http
            .get(&self.url)
            .query(&query)
            .basic_auth(&self.user, Some(&self.password))
            .timeout(self.page_timeout);
        let response = request
            .send()
            .await
            .map_err(|source| FetchError::Request { url: url(), source })?;
        match response.status() {
            status if status.is_success() => response
                .json()
                .await
                .map_err(|source| FetchError::Unreadable { url: url(), source }),
            status => Err(FetchError::Refused { url: url(), status }),
        }
    }
}
