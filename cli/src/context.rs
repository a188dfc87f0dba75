//! What every command is given: the printer, the session, and the look-ups that
//! most commands begin with.

use serde_json::Value;

use crate::client::{Client, escape};
use crate::config::{Config, Named};
use crate::error::CfError;
use crate::ui::Ui;

/// Printer and session.
pub struct Context {
    /// Printer.
    pub ui: Ui,
    /// Session.
    pub client: Client,
}

impl Context {
    /// The stored session.
    pub fn load(ui: Ui) -> Result<Self, CfError> {
        let config = Config::load()?;
        let ui = if config.color_enabled == "false" {
            ui.without_colours()
        } else {
            ui
        };
        Ok(Self {
            ui,
            client: Client::new(config)?,
        })
    }

    /// Insists on a target and a session.
    pub fn logged_in(&self) -> Result<(), CfError> {
        let config = &self.client.config;
        if config.target.is_empty() {
            return Err(CfError::NoTarget);
        }
        match config.access_token.is_empty() {
            true => Err(CfError::NotLoggedIn),
            false => Ok(()),
        }
    }

    /// The chosen org.
    pub fn org(&self) -> Result<Named, CfError> {
        self.logged_in()?;
        match self.client.config.organization_fields.clone() {
            org if org.guid.is_empty() => Err(CfError::NoOrg),
            org => Ok(org),
        }
    }

    /// The chosen space; errors name what is missing first.
    pub fn space(&self) -> Result<Named, CfError> {
        self.logged_in()?;
        match self.client.config.space_fields.clone() {
            space if space.guid.is_empty() => Err(CfError::NoSpace),
            space => Ok(space),
        }
    }

    /// Announces what is done: `Creating org X as admin...`.
    pub fn announce(&self, what: &str) {
        self.ui.say(&format!("{what} {}", self.who()));
    }

    /// The same for what happens in the chosen org.
    pub fn announce_in_org(&self, what: &str) {
        let org = self.ui.name(&self.client.config.organization_fields.name);
        self.ui.say(&format!("{what} in org {org} {}", self.who()));
    }

    /// The same for what happens in the chosen space.
    pub fn announce_in_space(&self, what: &str) {
        self.ui.say(&format!("{what} {}", self.place()));
    }

    /// `as U...`.
    fn who(&self) -> String {
        let user = self.client.config.user().unwrap_or_default();
        format!("as {}...", self.ui.name(&user))
    }

    /// `in org O / space S as U...`, the tail of every announcement.
    pub fn place(&self) -> String {
        let c = &self.client.config;
        let name = |text: &str| self.ui.name(text);
        format!(
            "in org {} / space {} {}",
            name(&c.organization_fields.name),
            name(&c.space_fields.name),
            self.who()
        )
    }

    /// The app of that name in the chosen space, if there is one.
    pub async fn find_app(&mut self, name: &str) -> Result<Option<Value>, CfError> {
        let space = self.space()?;
        let path = format!(
            "/v2/apps?q=name:{}&q=space_guid:{}",
            escape(name),
            space.guid
        );
        Ok(self.client.list(&path).await?.into_iter().next())
    }

    /// The app of that name in the chosen space.
    pub async fn app(&mut self, name: &str) -> Result<Value, CfError> {
        let hint =
            "\nTIP: `cf apps` lists the apps of this space, `cf target -s SPACE` changes it."
                .to_owned();
        let found = self.find_app(name).await?;
        found.ok_or(CfError::NotFound {
            kind: "App",
            name: name.into(),
            hint,
        })
    }
}

/// The guid of an enveloped resource.
pub fn guid(resource: &Value) -> &str {
    resource["metadata"]["guid"].as_str().unwrap_or_default()
}

/// A text attribute of an enveloped resource.
pub fn text<'a>(resource: &'a Value, key: &str) -> &'a str {
    resource["entity"][key].as_str().unwrap_or_default()
}
