//! The `metadata`/`entity` envelope and paged lists.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What every resource says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The resource's guid.
    pub guid: String,
    /// Path of the resource, without host.
    #[serde(default)]
    pub url: String,
    /// RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
    /// RFC 3339; `null` until the first change.
    #[serde(default)]
    pub updated_at: Option<String>,
}

/// A resource in its envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource<T> {
    /// Guid, url and times.
    pub metadata: Metadata,
    /// The attributes.
    pub entity: T,
}

/// One page of a collection. Clients read `resources` and `next_url`; the latter is a path, never absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List<T> {
    /// Members on all pages.
    pub total_results: u64,
    /// Number of pages.
    pub total_pages: u64,
    /// Path and query of the page before.
    pub prev_url: Option<String>,
    /// Path and query of the next page; `null` ends the walk.
    pub next_url: Option<String>,
    /// The members of this page.
    pub resources: Vec<T>,
}

impl<T> List<T> {
    /// A list that fits on one page.
    pub fn single(resources: Vec<T>) -> List<T> {
        List {
            total_results: resources.len() as u64,
            total_pages: 1,
            prev_url: None,
            next_url: None,
            resources,
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Accepted, not begun.
    Queued,
    /// Being worked on.
    Running,
    /// Done.
    Finished,
    /// Given up; `error_details` says why.
    Failed,
}

impl JobStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Finished => "finished",
            JobStatus::Failed => "failed",
        }
    }

    /// Reads the word on the wire; unknown words are `Failed`, so that no client waits for ever.
    pub fn parse(word: &str) -> JobStatus {
        match word {
            "queued" => JobStatus::Queued,
            "running" => JobStatus::Running,
            "finished" => JobStatus::Finished,
            _ => JobStatus::Failed,
        }
    }
}

/// A job as `/v2/jobs/:guid` answers it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Guid; `"0"` for a job already cleaned up.
    pub guid: String,
    /// State.
    pub status: JobStatus,
    /// RFC 3339.
    pub created_at: String,
    /// The error's `(code, error_code, description)` when failed.
    pub error: Option<(u32, String, String)>,
}

impl Job {
    /// The envelope; `url_base` is empty for users (clients put the API address in front) and absolute for stagers.
    pub fn body(&self, url: String) -> Value {
        let mut entity = json!({"guid": self.guid, "status": self.status.as_str()});
        if let Some((code, name, description)) = &self.error {
            entity["error"] =
                json!("Use of entity>error is deprecated in favor of entity>error_details.");
            entity["error_details"] =
                json!({"error_code": name, "description": description, "code": code});
        }
        json!({
            "metadata": {"guid": self.guid, "created_at": self.created_at, "url": url},
            "entity": entity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_job_carries_its_error_details() {
        let job = Job {
            guid: "j".into(),
            status: JobStatus::Failed,
            created_at: "2015-09-01T12:00:00Z".into(),
            error: Some((160001, "CF-AppBitsUploadInvalid".into(), "bad zip".into())),
        };
        let body = job.body("/v2/jobs/j".into());
        assert_eq!(body["metadata"]["url"], "/v2/jobs/j");
        assert_eq!(body["entity"]["status"], "failed");
        assert_eq!(body["entity"]["error_details"]["code"], 160001);
    }
}
