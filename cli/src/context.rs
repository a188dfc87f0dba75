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
        Ok(Self {
            ui,
            client: Client::new(Config::load()?)?,
        })
    }

    /// The chosen space; errors name what is missing first.
    pub fn space(&self) -> Result<Named, CfError> {
        let config = &self.client.config;
        if config.target.is_empty() {
            return Err(CfError::NoTarget);
        }
        if config.access_token.is_empty() {
            return Err(CfError::NotLoggedIn);
        }
        if config.space_fields.guid.is_empty() {
            return Err(CfError::NoSpace);
        }
        Ok(config.space_fields.clone())
    }

    /// `in org O / space S as U...`, the tail of every announcement.
    pub fn place(&self) -> String {
        let c = &self.client.config;
        let name = |text: &str| self.ui.name(text);
        let user = c.user().unwrap_or_default();
        format!(
            "in org {} / space {} as {}...",
            name(&c.organization_fields.name),
            name(&c.space_fields.name),
            name(&user)
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
