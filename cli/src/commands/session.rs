//! api, login, logout, auth, target.

use crate::args::Login;
use crate::client::escape;
use crate::config::{Config, Named};
use crate::context::{Context, guid, text};
use crate::error::CfError;

/// `cf api [URL]`.
pub(super) async fn api(cx: &mut Context, url: Option<String>, unset: bool) -> Result<(), CfError> {
    if unset {
        cx.client.config = Config::default();
        cx.client.config.save()?;
        cx.ui.say("Unsetting api endpoint...");
        cx.ui.ok();
        return Ok(());
    }
    if let Some(url) = url {
        cx.ui
            .say(&format!("Setting api endpoint to {}...", cx.ui.name(&url)));
        set_api(cx, &url).await?;
        cx.ui.ok();
    }
    let config = &cx.client.config;
    match config.target.is_empty() {
        true => Err(CfError::NoTarget),
        false => {
            cx.ui.say(&format!(
                "api endpoint:   {}\napi version:    {}",
                config.target, config.api_version
            ));
            Ok(())
        }
    }
}

/// Reads `/v2/info` and keeps its addresses. A new target ends the old session.
async fn set_api(cx: &mut Context, url: &str) -> Result<(), CfError> {
    let url = url.trim_end_matches('/');
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    let info = cx.client.get_open(&format!("{url}/v2/info")).await?;
    let field = |key: &str| info[key].as_str().unwrap_or_default().to_owned();
    if field("api_version").is_empty() {
        return Err(CfError::Other(format!(
            "{url} does not answer like a cloud controller: /v2/info has no api_version"
        )));
    }
    let mut config = if cx.client.config.target == url {
        cx.client.config.clone()
    } else {
        Config::default()
    };
    config.api_version = field("api_version");
    config.authorization_endpoint = field("authorization_endpoint")
        .trim_end_matches('/')
        .to_owned();
    config.doppler_end_point = field("doppler_logging_endpoint")
        .trim_end_matches('/')
        .to_owned();
    config.app_port = info["custom"]["app_port"]
        .as_u64()
        .and_then(|p| u16::try_from(p).ok());
    config.target = url;
    config.save()?;
    cx.client.config = config;
    Ok(())
}

/// `cf auth USER PASSWORD`.
pub(super) async fn auth(cx: &mut Context, user: &str, password: &str) -> Result<(), CfError> {
    if cx.client.config.target.is_empty() {
        return Err(CfError::NoTarget);
    }
    cx.ui.say(&format!(
        "API endpoint: {}\nAuthenticating...",
        cx.client.config.target
    ));
    cx.client.log_in(user, password).await?;
    cx.ui.ok();
    cx.ui
        .say("Use 'cf target' to view or set your target org and space");
    Ok(())
}

/// `cf login`.
pub(super) async fn login(cx: &mut Context, flags: Login) -> Result<(), CfError> {
    match (&flags.api, cx.client.config.target.is_empty()) {
        (Some(url), _) => set_api(cx, url).await?,
        (None, true) => return Err(CfError::NoTarget),
        (None, false) => {}
    }
    cx.ui
        .say(&format!("API endpoint: {}\n", cx.client.config.target));
    let user = flags.user.map_or_else(|| ask("Email"), Ok)?;
    let password = flags.password.map_or_else(ask_password, Ok)?;
    cx.ui.say("Authenticating...");
    cx.client.log_in(&user, &password).await?;
    cx.ui.ok();
    choose(cx, flags.org, flags.space).await?;
    show_target(cx);
    Ok(())
}

fn ask(prompt: &str) -> Result<String, CfError> {
    eprint!("{prompt}> ");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(CfError::file("standard input"))?;
    match line.trim() {
        "" => Err(CfError::Usage(format!(
            "{prompt} is missing; give it with -u"
        ))),
        answer => Ok(answer.to_owned()),
    }
}

fn ask_password() -> Result<String, CfError> {
    rpassword::prompt_password("Password> ").map_err(|e| {
        CfError::Usage(format!(
            "no password ({e}); set CF_PASSWORD where nobody can be asked"
        ))
    })
}

/// Chooses org and space: the named ones, or the only one there is.
async fn choose(
    cx: &mut Context,
    org: Option<String>,
    space: Option<String>,
) -> Result<(), CfError> {
    let orgs = cx.client.list("/v2/organizations?order-by=name").await?;
    let Some(org) = pick(&orgs, org, "Organization")? else {
        return Ok(());
    };
    cx.client.config.organization_fields = org.clone();
    let spaces = cx
        .client
        .list(&format!(
            "/v2/organizations/{}/spaces?order-by=name",
            org.guid
        ))
        .await?;
    cx.client.config.space_fields = pick(&spaces, space, "Space")?.unwrap_or_default();
    cx.client.config.save()
}

fn pick(
    resources: &[serde_json::Value],
    wanted: Option<String>,
    kind: &'static str,
) -> Result<Option<Named>, CfError> {
    let named = |r: &serde_json::Value| Named {
        guid: guid(r).into(),
        name: text(r, "name").into(),
    };
    match wanted {
        Some(name) => {
            let found = resources
                .iter()
                .find(|r| text(r, "name").eq_ignore_ascii_case(&name));
            found.map(|r| Some(named(r))).ok_or(CfError::NotFound {
                kind,
                name,
                hint: String::new(),
            })
        }
        None if resources.len() == 1 => Ok(resources.first().map(named)),
        None => Ok(None),
    }
}

/// `cf logout`.
pub(super) fn logout(cx: &mut Context) -> Result<(), CfError> {
    cx.ui.say("Logging out...");
    let config = &mut cx.client.config;
    config.access_token.clear();
    config.refresh_token.clear();
    config.organization_fields = Named::default();
    config.space_fields = Named::default();
    config.save()?;
    cx.ui.ok();
    Ok(())
}

/// `cf target [-o ORG] [-s SPACE]`.
pub(super) async fn target(
    cx: &mut Context,
    org: Option<String>,
    space: Option<String>,
) -> Result<(), CfError> {
    if cx.client.config.target.is_empty() {
        return Err(CfError::NoTarget);
    }
    if cx.client.config.access_token.is_empty() {
        return Err(CfError::NotLoggedIn);
    }
    if let Some(name) = org {
        let found = cx
            .client
            .list(&format!("/v2/organizations?q=name:{}", escape(&name)))
            .await?;
        let Some(org) = pick(&found, Some(name), "Organization")? else {
            return Ok(());
        };
        cx.client.config.organization_fields = org;
        cx.client.config.space_fields = Named::default();
        if space.is_none() {
            let path = format!(
                "/v2/organizations/{}/spaces",
                cx.client.config.organization_fields.guid
            );
            let spaces = cx.client.list(&path).await?;
            cx.client.config.space_fields = pick(&spaces, None, "Space")?.unwrap_or_default();
        }
    }
    if let Some(name) = space {
        let org = cx.client.config.organization_fields.guid.clone();
        if org.is_empty() {
            return Err(CfError::Usage(
                "an org must be targeted before a space; add -o ORG".into(),
            ));
        }
        let path = format!(
            "/v2/spaces?q=name:{}&q=organization_guid:{org}",
            escape(&name)
        );
        let found = cx.client.list(&path).await?;
        cx.client.config.space_fields = pick(&found, Some(name), "Space")?.unwrap_or_default();
    }
    cx.client.config.save()?;
    show_target(cx);
    Ok(())
}

fn show_target(cx: &Context) {
    let c = &cx.client.config;
    if cx.ui.json {
        cx.ui.json(&serde_json::json!({
            "api_endpoint": c.target, "api_version": c.api_version, "user": c.user(),
            "org": c.organization_fields.name, "space": c.space_fields.name,
        }));
        return;
    }
    let or_hint = |name: &str, hint: &str| {
        if name.is_empty() {
            format!("No {hint}")
        } else {
            name.to_owned()
        }
    };
    cx.ui.say(&format!(
        "API endpoint:   {} (API version: {})",
        c.target, c.api_version
    ));
    cx.ui
        .say(&format!("User:           {}", c.user().unwrap_or_default()));
    cx.ui.say(&format!(
        "Org:            {}",
        or_hint(
            &c.organization_fields.name,
            "org targeted, use 'cf target -o ORG'"
        )
    ));
    cx.ui.say(&format!(
        "Space:          {}",
        or_hint(
            &c.space_fields.name,
            "space targeted, use 'cf target -s SPACE'"
        )
    ));
}
