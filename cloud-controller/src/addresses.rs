//! What DEAs and stagers are told to fetch from and to send to: signed addresses, good for a while. Pure.
//!
//! The paths are the original's; whoever has the password instead of an address may use them too.

use std::sync::Arc;

use crate::signing::KeyRing;

/// Hands addresses out, all of which expire together.
#[derive(Clone)]
pub(crate) struct Addresses {
    base: String,
    keys: Arc<KeyRing>,
    expires: i64,
}

impl Addresses {
    /// Addresses below `base` (no path, no credentials); `expires` is in unix seconds.
    pub(crate) fn new(base: &str, keys: &Arc<KeyRing>, expires: i64) -> Addresses {
        Addresses {
            base: base.trim_end_matches('/').to_owned(),
            keys: keys.clone(),
            expires,
        }
    }

    /// Of an app's package.
    pub(crate) fn package(&self, app: &str) -> String {
        self.get(&format!("/staging/apps/{app}"), "")
    }

    /// Of an app's current droplet.
    pub(crate) fn droplet(&self, app: &str) -> String {
        self.get(&format!("/staging/droplets/{app}/download"), "")
    }

    /// For the droplet of one staging, and no other.
    pub(crate) fn droplet_upload(&self, app: &str, task: &str) -> String {
        self.post(&format!("/staging/droplets/{app}/upload"), task)
    }

    /// Of an app's build cache.
    pub(crate) fn cache(&self, app: &str) -> String {
        self.get(&format!("/staging/buildpack_cache/{app}/download"), "")
    }

    /// For the build cache of one staging.
    pub(crate) fn cache_upload(&self, app: &str, task: &str) -> String {
        self.post(&format!("/staging/buildpack_cache/{app}/upload"), task)
    }

    /// Of a buildpack's bits with this digest, and no others.
    pub(crate) fn buildpack(&self, guid: &str, sha1: &str) -> String {
        let path = format!("/v2/buildpacks/{guid}/download");
        self.get(&path, &format!("sha1={sha1}"))
    }

    /// Of the job that an upload was answered with.
    pub(crate) fn job(&self, guid: &str) -> String {
        self.get(&format!("/staging/jobs/{guid}"), "")
    }

    fn get(&self, path: &str, query: &str) -> String {
        self.signed("GET", path, query)
    }

    fn post(&self, path: &str, task: &str) -> String {
        self.signed("POST", path, &format!("task={task}"))
    }

    fn signed(&self, method: &str, path: &str, query: &str) -> String {
        let signed = self.keys.sign(method, path, query, self.expires);
        format!("{}{signed}", self.base)
    }
}
