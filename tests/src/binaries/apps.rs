//! Sample apps, and what a story does with a pushed one.

use std::path::PathBuf;

use serde_json::Value;

use super::http::Answer;
use super::load::Load;
use super::platform::Platform;
use super::typed::Typed;
use super::wait::eventually;

/// Directory of a sample app.
pub fn sample_app(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("apps")
        .join(name);
    path.display().to_string()
}

/// An app on a platform, by name.
#[derive(Debug, Clone, Copy)]
pub struct App<'a> {
    platform: &'a Platform,
    name: &'a str,
}

impl<'a> App<'a> {
    pub(super) fn new(platform: &'a Platform, name: &'a str) -> Self {
        Self { platform, name }
    }

    /// Types `cf push NAME -p DIRECTORY-OF-THE-SAMPLE FLAGS`.
    pub fn push(&self, sample: &str, flags: &[&str]) -> Typed {
        let directory = sample_app(sample);
        let mut line = vec!["push", self.name, "-p", &directory];
        line.extend(flags);
        self.platform.cf(&line)
    }

    /// Types `cf restage NAME`: a push of unchanged files stages nothing.
    pub fn restage(&self) -> Typed {
        self.platform.cf(&["restage", self.name])
    }

    /// GET through the router.
    pub fn get(&self, path: &str) -> Result<Answer, String> {
        let settings = self.platform.settings();
        let host = format!(
            "{}.{}",
            self.name,
            settings["domain"].as_str().unwrap_or_default()
        );
        let url = format!("http://127.0.0.1:{}{path}", settings["router_port"]);
        self.platform
            .fetch(|http| http.get(&url).header("Host", &host))
    }

    /// Starts asking the router for this app, again and again.
    pub fn load(&self) -> Load {
        self.platform.load(self.name)
    }

    /// What `cf app` prints.
    pub fn shown(&self) -> Typed {
        self.platform.cf(&["app", self.name]).well()
    }

    /// Waits until `cf app` shows that many running instances and no other.
    pub fn runs(&self, instances: usize) {
        eventually(&format!("{} runs {instances} times", self.name), || {
            let shown = self.shown();
            let lines = shown.text().lines();
            let rows: Vec<&str> = lines.filter(|l| l.starts_with('#')).collect();
            match rows.len() == instances && rows.iter().all(|row| row.contains("running")) {
                true => Ok(()),
                false => Err(shown.clone()),
            }
        });
    }

    /// GET through the router until the answer is 200; its body.
    pub fn body(&self, path: &str) -> String {
        eventually(
            &format!("{} answers {path} with 200", self.name),
            || match self.get(path) {
                Ok(answer) if answer.status == 200 => Ok(answer.body),
                Ok(answer) => Err(format!("{answer:?}")),
                Err(error) => Err(error),
            },
        )
    }

    /// The variables that the `probe` sample was started with.
    pub fn environment(&self) -> serde_json::Map<String, Value> {
        let body = self.body("/env");
        serde_json::from_str(&body)
            .unwrap_or_else(|e| panic!("the probe's environment is no JSON object: {e}: {body}"))
    }

    /// Its guid.
    pub fn guid(&self) -> String {
        self.platform
            .cf(&["app", self.name, "--guid"])
            .well()
            .text()
            .trim()
            .to_owned()
    }

    /// What `cf events` prints.
    pub fn events(&self) -> Typed {
        self.platform.cf(&["events", self.name]).well()
    }
}
