//! From a name to the resource: the look-ups that most commands begin with. Each
//! error says how to list what there is.

use serde_json::Value;

use crate::client::escape;
use crate::context::{Context, text};
use crate::error::CfError;

impl Context {
    /// The only resource that a filter leaves.
    async fn named(
        &mut self,
        kind: &'static str,
        name: &str,
        path: &str,
        tip: &str,
    ) -> Result<Value, CfError> {
        let found = self.client.first(path).await?;
        found.ok_or_else(|| missing(kind, name, tip))
    }

    /// An organization.
    pub async fn org_named(&mut self, name: &str) -> Result<Value, CfError> {
        let path = format!("/v2/organizations?q=name:{}", escape(name));
        self.named("Organization", name, &path, "`cf orgs` lists them.")
            .await
    }

    /// An organization that may not exist.
    pub async fn find_org(&mut self, name: &str) -> Result<Option<Value>, CfError> {
        let path = format!("/v2/organizations?q=name:{}", escape(name));
        self.client.first(&path).await
    }

    /// A space of an org.
    pub async fn space_in(&mut self, org_guid: &str, name: &str) -> Result<Value, CfError> {
        let path = space_path(org_guid, name);
        self.named("Space", name, &path, "`cf spaces` lists those of the org.")
            .await
    }

    /// A space that may not exist.
    pub async fn find_space(&mut self, org: &str, name: &str) -> Result<Option<Value>, CfError> {
        self.client.first(&space_path(org, name)).await
    }

    /// A quota of orgs.
    pub async fn quota_named(&mut self, name: &str) -> Result<Value, CfError> {
        let path = format!("/v2/quota_definitions?q=name:{}", escape(name));
        self.named("Quota", name, &path, "`cf quotas` lists them.")
            .await
    }

    /// A stack.
    pub async fn stack_named(&mut self, name: &str) -> Result<Value, CfError> {
        let path = format!("/v2/stacks?q=name:{}", escape(name));
        self.named("Stack", name, &path, "`cf stacks` lists them.")
            .await
    }

    /// A buildpack.
    pub async fn buildpack_named(&mut self, name: &str) -> Result<Value, CfError> {
        let path = format!("/v2/buildpacks?q=name:{}", escape(name));
        self.named("Buildpack", name, &path, "`cf buildpacks` lists them.")
            .await
    }

    /// A domain that the org may use: a private one first, then a shared one.
    pub async fn domain_named(&mut self, name: &str) -> Result<Value, CfError> {
        let tip = "`cf domains` lists them.";
        match self.private_domain(name).await? {
            Some(domain) => Ok(domain),
            None => {
                let path = format!("/v2/shared_domains?q=name:{}", escape(name));
                self.named("Domain", name, &path, tip).await
            }
        }
    }

    /// A private domain of the chosen org.
    pub async fn private_domain(&mut self, name: &str) -> Result<Option<Value>, CfError> {
        let org = self.org()?.guid;
        let path = format!(
            "/v2/organizations/{org}/private_domains?q=name:{}",
            escape(name)
        );
        self.client.first(&path).await
    }

    /// Every domain that the org may use, private ones first.
    pub async fn domains(&mut self) -> Result<Vec<Value>, CfError> {
        let org = self.org()?.guid;
        let mut all = self
            .client
            .list(&format!("/v2/organizations/{org}/private_domains"))
            .await?;
        all.extend(self.client.list("/v2/shared_domains").await?);
        Ok(all)
    }

    /// The route of exactly this host, domain and path.
    pub async fn find_route(
        &mut self,
        host: &str,
        domain_guid: &str,
        path: &str,
    ) -> Result<Option<Value>, CfError> {
        let mut query = format!(
            "/v2/routes?q=host:{}&q=domain_guid:{domain_guid}",
            escape(host)
        );
        if !path.is_empty() {
            query.push_str(&format!("&q=path:{}", escape(path)));
        }
        let found = self.client.list(&query).await?;
        let exact = |r: &Value| text(r, "path") == path && text(r, "host") == host;
        Ok(found.into_iter().find(exact))
    }

    /// A service instance of the chosen space, bindings embedded.
    pub async fn find_service(&mut self, name: &str) -> Result<Option<Value>, CfError> {
        let path = format!(
            "/v2/spaces/{}/service_instances?return_user_provided_service_instances=true&q=name:{}&inline-relations-depth=1",
            self.space()?.guid,
            escape(name)
        );
        self.client.first(&path).await
    }

    /// A service instance that must exist.
    pub async fn service_named(&mut self, name: &str) -> Result<Value, CfError> {
        let tip = "`cf services` lists those of this space, `cf cups NAME -p JSON` makes one from credentials.";
        let found = self.find_service(name).await?;
        found.ok_or_else(|| missing("Service instance", name, tip))
    }

    /// The guid of a user, asked of the token server.
    pub async fn user_named(&mut self, name: &str) -> Result<String, CfError> {
        let filter = escape(&format!("userName Eq \"{name}\""));
        let url = format!(
            "{}/Users?attributes=id,userName&filter={filter}",
            self.client.config.users_url()
        );
        let answer = self.client.get(&url).await?;
        let found = answer["resources"][0]["id"].as_str().map(str::to_owned);
        found.ok_or_else(|| missing("User", name, "`cf create-user NAME` makes one."))
    }
}

fn space_path(org_guid: &str, name: &str) -> String {
    format!(
        "/v2/spaces?q=name:{}&q=organization_guid:{org_guid}",
        escape(name)
    )
}

/// "Kind name not found" with what to type next.
pub fn missing(kind: &'static str, name: &str, tip: &str) -> CfError {
    CfError::NotFound {
        kind,
        name: name.into(),
        hint: format!("\nTIP: {tip}"),
    }
}
