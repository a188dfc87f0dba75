//! Who may speak: the controller hands out one lease with an epoch (decision 12).
//!
//! `PUT {controller}/internal/v1/health_manager/lease` with `{"holder": id, "ttl_seconds": n}` takes or
//! renews it: 200 with `{"epoch": n}`, 409 while another holds it, 404 where there is no such thing.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::config::Config;

/// What the controller said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It knows no leases: we speak, without an epoch.
    Unneeded,
    /// It is ours until then.
    Held { epoch: i64, until: Instant },
    /// Another holds it, or nobody could be asked: we watch.
    Standby,
}

impl Standing {
    /// The epoch to speak with: `None` when we may not speak, `Some(None)` without an epoch.
    pub(crate) fn voice(self, now: Instant) -> Option<Option<i64>> {
        match self {
            Self::Unneeded => Some(None),
            Self::Held { epoch, until } if now < until => Some(Some(epoch)),
            Self::Held { .. } | Self::Standby => None,
        }
    }

    /// What to think after a failed attempt to renew: a lease we hold stays ours until it ends.
    fn unanswered(self) -> Self {
        match self {
            Self::Unneeded => Self::Standby,
            other => other,
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    epoch: i64,
}

/// Asks for the lease on behalf of one health manager.
#[derive(Clone)]
pub(crate) struct Lease {
    http: reqwest::Client,
    url: String,
    user: String,
    password: String,
    holder: String,
    pub(crate) ttl: Duration,
    timeout: Duration,
}

impl Lease {
    pub(crate) fn new(http: reqwest::Client, config: &Config, holder: String) -> Self {
        let params = config.params();
        Self {
            http,
            url: format!(
                "{}/internal/v1/health_manager/lease",
                config.controller.trim_end_matches('/')
            ),
            user: config.bulk_api.user.clone(),
            password: config.bulk_api.password.clone(),
            holder,
            ttl: params.ttl,
            timeout: params.heartbeat.max(Duration::from_millis(500)),
        }
    }

    /// Takes or renews the lease; our time runs from before the question, so that it never outlasts the controller's.
    pub(crate) async fn renew(&self, before: Standing) -> Standing {
        let asked = Instant::now();
        let body = json!({"holder": self.holder, "ttl_seconds": self.ttl.as_secs_f64()});
        let request = self
            .http
            .put(&self.url)
            .basic_auth(&self.user, Some(&self.password))
            .json(&body)
            .timeout(self.timeout);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "nobody to ask for the lease");
                return before.unanswered();
            }
        };
        match response.status().as_u16() {
            404 | 405 => Standing::Unneeded,
            409 => Standing::Standby,
            200..=299 => match response.json::<Granted>().await {
                Ok(granted) => Standing::Held {
                    epoch: granted.epoch,
                    until: asked + self.ttl,
                },
                Err(error) => {
                    tracing::warn!(%error, url = self.url, "the lease was answered without an epoch");
                    before.unanswered()
                }
            },
            status => {
                tracing::warn!(
                    status,
                    url = self.url,
                    "the lease was refused; check `bulk_api` in both configurations"
                );
                before.unanswered()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_speaks_until_it_ends() {
        let now = Instant::now();
        let held = Standing::Held {
            epoch: 7,
            until: now + Duration::from_secs(3),
        };
        assert_eq!(held.voice(now), Some(Some(7)));
        assert_eq!(held.voice(now + Duration::from_secs(3)), None);
        assert_eq!(
            (Standing::Unneeded.voice(now), Standing::Standby.voice(now)),
            (Some(None), None)
        );
    }

    #[test]
    fn silence_of_the_controller_takes_no_lease_away_and_gives_none() {
        let held = Standing::Held {
            epoch: 7,
            until: Instant::now(),
        };
        assert_eq!(held.unanswered(), held);
        assert_eq!(Standing::Unneeded.unanswered(), Standing::Standby);
        assert_eq!(Standing::Standby.unanswered(), Standing::Standby);
    }
}
