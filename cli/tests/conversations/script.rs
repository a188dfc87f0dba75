//! A controller that expects exactly one list of requests and answers from it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use cli::logs::LogMessage;
use serde_json::{Value, json};

use crate::controller::Controller;

/// A request that must come next, and its answer.
pub(crate) struct Exchange {
    pub(crate) ask: String,
    pub(crate) body: Body,
    pub(crate) status: u16,
    pub(crate) answer: Value,
    /// Log lines sent over a websocket instead of an answer.
    pub(crate) lines: Vec<LogMessage>,
}

/// What the body must be.
pub(crate) enum Body {
    Nothing,
    Json(Value),
    /// A form whose text holds all of these.
    Form(Vec<&'static str>),
}

fn exchange(method: &str, path: &str, body: Body, status: u16, answer: Value) -> Exchange {
    let ask = format!("{method} {path}");
    Exchange {
        ask,
        body,
        status,
        answer,
        lines: Vec::new(),
    }
}

/// The log stream of an app, with lines of the stager.
pub(crate) fn stager(app_guid: &str, lines: &[&str]) -> Exchange {
    let path = format!("/apps/{app_guid}/stream");
    let line = |text: &&str| LogMessage {
        message: text.as_bytes().to_vec(),
        message_type: 1,
        timestamp: 0,
        app_id: app_guid.to_owned(),
        source_type: "STG".into(),
        source_instance: "0".into(),
    };
    Exchange {
        lines: lines.iter().map(line).collect(),
        ..exchange("GET", &path, Body::Nothing, 101, Value::Null)
    }
}

/// GET answered with 200.
pub(crate) fn get(path: &str, answer: Value) -> Exchange {
    exchange("GET", path, Body::Nothing, 200, answer)
}

/// GET of a list.
pub(crate) fn find(path: &str, resources: &[Value]) -> Exchange {
    get(path, list(resources))
}

/// POST answered with 201.
pub(crate) fn post(path: &str, body: Value, answer: Value) -> Exchange {
    exchange("POST", path, Body::Json(body), 201, answer)
}

/// PUT answered with 201; `null` is an empty body.
pub(crate) fn put(path: &str, body: Value, answer: Value) -> Exchange {
    let body = match body {
        Value::Null => Body::Nothing,
        body => Body::Json(body),
    };
    exchange("PUT", path, body, 201, answer)
}

/// DELETE answered with 204.
pub(crate) fn delete(path: &str) -> Exchange {
    exchange("DELETE", path, Body::Nothing, 204, Value::Null)
}

/// DELETE with a body.
pub(crate) fn delete_with(path: &str, body: Value) -> Exchange {
    exchange("DELETE", path, Body::Json(body), 204, Value::Null)
}

/// DELETE answered with a job, and the job, which is done at the second look.
pub(crate) fn delete_job(path: &str) -> [Exchange; 3] {
    let job = |status: &str| {
        json!({
            "metadata": {"guid": "j", "url": "/v2/jobs/j"},
            "entity": {"guid": "j", "status": status},
        })
    };
    [
        exchange("DELETE", path, Body::Nothing, 202, job("queued")),
        get("/v2/jobs/j", job("running")),
        get("/v2/jobs/j", job("finished")),
    ]
}

/// A form, whose text must hold the given parts.
pub(crate) fn form(method: &str, path: &str, parts: &[&'static str], answer: Value) -> Exchange {
    exchange(method, path, Body::Form(parts.to_vec()), 201, answer)
}

impl Exchange {
    /// The same refused with a v2 error.
    pub(crate) fn refused(mut self, status: u16, code: i64, name: &str) -> Self {
        self.status = status;
        self.answer = json!({"code": code, "error_code": name, "description": name});
        self
    }
}

/// An enveloped resource.
pub(crate) fn resource(guid: &str, entity: Value) -> Value {
    json!({"metadata": {"guid": guid, "url": format!("/v2/x/{guid}")}, "entity": entity})
}

/// A resource of which only the name matters.
pub(crate) fn named(guid: &str, name: &str) -> Value {
    resource(guid, json!({"name": name}))
}

/// One page.
pub(crate) fn list(resources: &[Value]) -> Value {
    json!({
        "total_results": resources.len(), "total_pages": 1, "prev_url": null, "next_url": null,
        "resources": resources,
    })
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

/// A command being typed.
pub(crate) struct Typed {
    words: Vec<String>,
    input: String,
    env: Vec<(&'static str, String)>,
    logs: bool,
    dir: tempfile::TempDir,
}

/// A command line, split at blanks; `+` stands for a blank inside a word.
pub(crate) fn cf(line: &str) -> Typed {
    let words = line.split(' ').map(|word| word.replace('+', " "));
    Typed {
        words: words.collect(),
        input: String::new(),
        env: Vec::new(),
        logs: false,
        dir: tempfile::tempdir().unwrap(),
    }
}

impl Typed {
    /// What is on standard input.
    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = text.into();
        self
    }

    /// A variable.
    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// With a log server: the controller itself.
    pub(crate) fn with_logs(mut self) -> Self {
        self.logs = true;
        self
    }

    /// The directory that the command runs in.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file in that directory.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    /// Runs against the script: every request must come, in order, and no other.
    pub(crate) fn with(&self, script: impl IntoIterator<Item = Exchange>) -> Ended {
        let controller = Controller::start(script.into_iter().collect());
        self.log_in(&controller.url);
        let ended = self.run();
        if let Err(wrong) = controller.finish() {
            panic!("cf {}: {wrong}\n{ended:?}", self.words.join(" "));
        }
        ended
    }

    /// Runs with no session and no controller.
    pub(crate) fn alone(&self) -> Ended {
        self.run()
    }

    fn log_in(&self, url: &str) {
        let claims = json!({"user_name": "admin", "user_id": "u-admin"}).to_string();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
        let logs = match self.logs {
            true => url.replacen("http", "ws", 1),
            false => "ws://127.0.0.1:1".to_owned(),
        };
        let session = json!({
            "Target": url, "ApiVersion": "2.37.0", "AuthorizationEndpoint": url, "UaaEndpoint": url,
            "DopplerEndPoint": logs,
            "AccessToken": format!("bearer h.{claims}.s"), "RefreshToken": "r",
            "OrganizationFields": {"GUID": "o", "Name": "acme"},
            "SpaceFields": {"GUID": "s", "Name": "dev"},
        });
        let dir = self.dir.path().join(".cf");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.json"), session.to_string()).unwrap();
    }

    fn run(&self) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cf"))
            .args(&self.words)
            .env("CF_HOME", self.dir.path())
            .env_remove("CF_PASSWORD")
            .env_remove("CF_TRACE")
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have closed its end already.
        let _ = stdin.write_all(self.input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a table: the command, its script, and what it says.
pub(crate) fn converse(table: Vec<(&str, Vec<Exchange>, &str)>) {
    for (line, script, says) in table {
        let ended = cf(line).with(script);
        assert_eq!(ended.code, Some(0), "cf {line}: {ended:?}");
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains(says), "cf {line}: {says:?} in\n{said}");
    }
}
