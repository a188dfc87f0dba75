//! Somebody with an organization and a session of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::platform::Platform;
use super::typed::Typed;

/// The space that every such user has.
const SPACE: &str = "dev";

/// A developer of one space, who is no administrator.
#[derive(Debug)]
pub struct User<'a> {
    platform: &'a Platform,
    home: PathBuf,
}

impl Platform {
    /// Makes an organization with a space and a quota of `memory` (as `cf` reads it), and the developer of that space, all of one
    /// name; logs in as that developer.
    pub fn user(&self, name: &str, memory: &str) -> User<'_> {
        let password = format!("password-of-{name}");
        let quota = ["create-quota", name, "-m", memory, "-r", "100", "-a", "-1"];
        self.cf(&quota).well();
        for line in [
            ["create-org", name].as_slice(),
            &["set-quota", name, name],
            &["create-space", SPACE, "-o", name],
            &["create-user", name, &password],
            &["set-space-role", name, name, SPACE, "SpaceDeveloper"],
        ] {
            self.cf(line).well();
        }
        let home = self.scratch().join(format!("home-of-{name}"));
        std::fs::create_dir(&home).expect("the story's directory is writable");
        let user = User {
            platform: self,
            home,
        };
        let api = self.address_of_api();
        let login = ["login", "-a", &api, "-u", name, "-p", &password];
        user.cf(&[&login[..], &["-o", name, "-s", SPACE]].concat())
            .well();
        user
    }

    fn address_of_api(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings()["api_port"])
    }
}

impl User<'_> {
    /// Types a `cf` command.
    pub fn cf(&self, arguments: &[&str]) -> Typed {
        self.platform
            .typed(self.command(arguments), "cf", arguments)
    }

    /// Starts a `cf` command that goes on, with its standard output to read; what it says of errors goes nowhere.
    pub fn cf_running(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
            .spawn()
            .unwrap_or_else(|e| panic!("cf cannot be run: {e}"))
    }

    /// Whoever waits for the platform waits for minutes at most.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.platform.command("cf", arguments);
        command.env("CF_HOME", &self.home);
        command
            .env("CF_STAGING_TIMEOUT", "1")
            .env("CF_STARTUP_TIMEOUT", "1");
        command
    }

    /// The value of the header `Authorization` of this session.
    pub fn token(&self) -> String {
        let path = self.home.join(".cf/config.json");
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let session: Value = serde_json::from_slice(&text).unwrap_or_default();
        let token = session["AccessToken"].as_str();
        token.unwrap_or_default().to_owned()
    }
}
