//! api, login, logout, auth.

use serde_json::json;

use super::target::{self, show_target};
use crate::config::{Config, Named};
use crate::context::Context;
use crate::error::CfError;
use crate::line::{Arg, Args, Flag, Group, Json, NONE, Spec, arg, maybe, option, switch};
use crate::ui::column;

const SKIP_SSL: Flag = switch("--skip-ssl-validation", "Accepted for compatibility");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "login",
        alias: "l",
        group: Group::GettingStarted,
        about: "Log user in",
        flags: &[
            option("-a", "API_URL", "API endpoint, e.g. http://127.0.0.1:8181"),
            option("-u", "USERNAME", "User name"),
            Flag {
                env: "CF_PASSWORD",
                ..option("-p", "PASSWORD", "Password; better typed when asked")
            },
            option("-o", "ORG", "Org"),
            option("-s", "SPACE", "Space"),
            SKIP_SSL,
        ],
        json: target::FIELDS,
        run: |cx, args| Box::pin(login(cx, args)),
        ..NONE
    },
    Spec {
        name: "logout",
        alias: "lo",
        group: Group::GettingStarted,
        about: "Log user out",
        run: |cx, _| Box::pin(async { logout(cx) }),
        ..NONE
    },
    Spec {
        name: "api",
        group: Group::GettingStarted,
        about: "Set or view target api url",
        args: &[maybe("URL", "API endpoint, e.g. http://127.0.0.1:8181")],
        flags: &[SKIP_SSL, switch("--unset", "Forget the target")],
        json: Json::One(&["api_endpoint", "api_version"]),
        run: |cx, args| Box::pin(api(cx, args.get("URL"), args.has("unset"))),
        ..NONE
    },
    Spec {
        name: "auth",
        group: Group::GettingStarted,
        about: "Authenticate user non-interactively",
        args: &[
            Arg {
                env: "CF_USERNAME",
                ..arg("USERNAME", "User name")
            },
            Arg {
                env: "CF_PASSWORD",
                ..maybe(
                    "PASSWORD",
                    "Password; asked for or read from standard input when left out",
                )
            },
        ],
        run: |cx, args| Box::pin(auth(cx, args)),
        ..NONE
    },
];

/// `cf api [URL]`.
async fn api(cx: &mut Context, url: Option<&str>, unset: bool) -> Result<(), CfError> {
    if unset {
        cx.client.config = Config::default();
        cx.client.config.save()?;
        cx.ui.say("Unsetting api endpoint...");
        cx.ui.ok();
        return Ok(());
    }
    if let Some(url) = url {
        cx.ui
            .say(&format!("Setting api endpoint to {}...", cx.ui.name(url)));
        set_api(cx, url).await?;
        cx.ui.ok();
    }
    let config = &cx.client.config;
    match config.target.is_empty() {
        true => Err(CfError::NoTarget),
        false => {
            let shown = [
                column("api endpoint", "api_endpoint"),
                column("api version", "api_version"),
            ];
            let item = json!({"api_endpoint": config.target, "api_version": config.api_version});
            cx.ui.one(&shown, item);
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
    config.uaa_endpoint = field("token_endpoint").trim_end_matches('/').to_owned();
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
async fn auth(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    if cx.client.config.target.is_empty() {
        return Err(CfError::NoTarget);
    }
    let password = password(args.get("PASSWORD"))?;
    cx.ui.say(&format!(
        "API endpoint: {}\nAuthenticating...",
        cx.client.config.target
    ));
    cx.client.log_in(args.need("USERNAME"), &password).await?;
    cx.ui.ok();
    cx.ui
        .say("Use 'cf target' to view or set your target org and space");
    Ok(())
}

/// `cf login`.
async fn login(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    match (args.get("a"), cx.client.config.target.is_empty()) {
        (Some(url), _) => set_api(cx, url).await?,
        (None, true) => return Err(CfError::NoTarget),
        (None, false) => {}
    }
    cx.ui
        .say(&format!("API endpoint: {}\n", cx.client.config.target));
    let user = args
        .get("u")
        .map_or_else(|| ask("Email"), |u| Ok(u.to_owned()))?;
    let password = password(args.get("p"))?;
    cx.ui.say("Authenticating...");
    cx.client.log_in(&user, &password).await?;
    cx.ui.ok();
    target::choose(cx, args.get("o"), args.get("s")).await?;
    show_target(cx);
    Ok(())
}

/// The password given, or asked for.
fn password(given: Option<&str>) -> Result<String, CfError> {
    let given = given.map(str::to_owned);
    given.map_or_else(|| super::secret("Password", "CF_PASSWORD"), Ok)
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

/// `cf logout`.
fn logout(cx: &mut Context) -> Result<(), CfError> {
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
