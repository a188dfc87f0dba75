//! `cf push`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::push_flags::Push;
use super::push_plan::{self, Plan};
use super::route::{self, Wanted};
use super::{life, service_bindings, start};
use crate::bits;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::lookup::missing;
use crate::manifest::{self, AppManifest, words};

/// Pushes one app or every app of the manifest.
pub(super) async fn run(cx: &mut Context, flags: Push) -> Result<(), CfError> {
    cx.space()?;
    for plan in plans(cx, &flags)? {
        push_one(cx, &plan).await?;
    }
    if cx.ui.json {
        let apps = cx.ui.take_documents();
        cx.ui.document(apps.into());
    }
    Ok(())
}

fn plans(cx: &Context, flags: &Push) -> Result<Vec<Plan>, CfError> {
    let Some(file) = manifest_file(flags)? else {
        return Ok(vec![push_plan::plan(flags, AppManifest::default())?]);
    };
    cx.ui
        .say(&format!("Using manifest file {}\n", file.display()));
    let mut apps = manifest::read(&file)?;
    if let Some(name) = &flags.app {
        // One app of several, or a new name for the only one.
        match apps.iter().position(|a| a.name.as_ref() == Some(name)) {
            Some(at) => apps = vec![apps.swap_remove(at)],
            None if apps.len() == 1 => {}
            None => {
                let known: Vec<&str> = apps.iter().filter_map(|a| a.name.as_deref()).collect();
                let tip = format!("the manifest has {}", known.join(", "));
                return Err(missing("App in the manifest:", name, &tip));
            }
        }
    }
    let default_path = file
        .parent()
        .map(Path::to_path_buf)
        .filter(|p| !p.as_os_str().is_empty());
    let with_path = |mut app: AppManifest| {
        app.path = app.path.or_else(|| default_path.clone());
        push_plan::plan(flags, app)
    };
    apps.into_iter().map(with_path).collect()
}

fn manifest_file(flags: &Push) -> Result<Option<PathBuf>, CfError> {
    if flags.no_manifest {
        return Ok(None);
    }
    match &flags.manifest {
        Some(given) if given.is_dir() => Ok(Some(given.join("manifest.yml"))),
        Some(given) => Ok(Some(given.clone())),
        None => Ok(Some(PathBuf::from("manifest.yml")).filter(|p| p.exists())),
    }
}

async fn push_one(cx: &mut Context, plan: &Plan) -> Result<(), CfError> {
    if !plan.path.exists() {
        return Err(CfError::Usage(format!(
            "the path {} does not exist",
            plan.path.display()
        )));
    }
    let existing = cx.find_app(&plan.name).await?;
    let services = services(cx, plan).await?;
    let app = save(cx, plan, existing.as_ref()).await?;
    let app_guid = guid(&app).to_owned();
    routes(cx, plan, &app_guid).await?;
    cx.ui
        .say(&format!("Uploading {}...", cx.ui.name(&plan.name)));
    bits::upload(&mut cx.client, &cx.ui, &app_guid, &plan.path).await?;
    for service in &services {
        service_bindings::bind_to(cx, &app_guid, &plan.name, service, None).await?;
    }
    if let Some(before) = existing.filter(|a| text(a, "state") == "STARTED") {
        life::stop_app(cx, &before).await?;
    }
    if plan.no_start {
        return Ok(());
    }
    start::start_app(cx, &app_guid, &plan.name).await
}

async fn save(cx: &mut Context, plan: &Plan, existing: Option<&Value>) -> Result<Value, CfError> {
    let mut body = plan.attributes.clone();
    if let Some(stack) = &plan.stack {
        let stack = cx.stack_named(stack).await?;
        body.insert("stack_guid".into(), guid(&stack).into());
    }
    if !plan.env.is_empty() {
        body.insert("environment_json".into(), merged_env(plan, existing).into());
    }
    match existing {
        None => {
            cx.ui.say(&format!(
                "Creating app {} {}",
                cx.ui.name(&plan.name),
                cx.place()
            ));
            body.insert("name".into(), plan.name.clone().into());
            body.insert("space_guid".into(), cx.space()?.guid.into());
            let made = cx.client.post("/v2/apps", &Value::Object(body)).await?;
            cx.ui.ok();
            Ok(made)
        }
        Some(app) if body.is_empty() => Ok(app.clone()),
        Some(app) => {
            cx.ui.say(&format!(
                "Updating app {} {}",
                cx.ui.name(&plan.name),
                cx.place()
            ));
            let updated = cx
                .client
                .put(&format!("/v2/apps/{}", guid(app)), &Value::Object(body))
                .await?;
            cx.ui.ok();
            Ok(updated)
        }
    }
}

/// The manifest's variables over the app's present ones.
fn merged_env(plan: &Plan, existing: Option<&Value>) -> Map<String, Value> {
    let mut env = existing
        .and_then(|a| a["entity"]["environment_json"].as_object().cloned())
        .unwrap_or_default();
    for (name, value) in &plan.env {
        env.insert(name.clone(), value.clone().into());
    }
    env
}

/// The service instances of the manifest, looked up before anything is changed.
async fn services(cx: &mut Context, plan: &Plan) -> Result<Vec<Value>, CfError> {
    let mut found = Vec::new();
    for name in &plan.services {
        found.push(cx.service_named(name).await?);
    }
    Ok(found)
}

async fn routes(cx: &mut Context, plan: &Plan, app_guid: &str) -> Result<(), CfError> {
    let mapped = cx
        .client
        .list(&format!("/v2/apps/{app_guid}/routes"))
        .await?;
    if plan.no_route {
        for route in &mapped {
            cx.client
                .delete(&format!("/v2/apps/{app_guid}/routes/{}", guid(route)))
                .await?;
        }
        return Ok(());
    }
    let nothing_asked = plan.hosts.is_empty()
        && plan.domains.is_empty()
        && plan.routes.is_empty()
        && plan.route_path.is_empty()
        && !plan.no_hostname;
    if nothing_asked && !mapped.is_empty() {
        return Ok(());
    }
    for wanted in wanted_routes(cx, plan).await? {
        route::ensure(cx, app_guid, &mapped, &wanted).await?;
    }
    Ok(())
}

async fn wanted_routes(cx: &mut Context, plan: &Plan) -> Result<Vec<Wanted>, CfError> {
    if !plan.routes.is_empty() {
        let mut list = Vec::new();
        for full in &plan.routes {
            list.push(route::split(cx, full).await?);
        }
        return Ok(list);
    }
    let domains = match plan.domains.is_empty() {
        true => vec![route::default_domain(cx).await?],
        false => plan.domains.clone(),
    };
    let hosts = hosts(plan);
    let pairs = hosts
        .iter()
        .flat_map(|host| domains.iter().map(move |domain| (host, domain)));
    let wanted = pairs.map(|(host, domain)| Wanted {
        host: host.clone(),
        domain: domain.clone(),
        path: plan.route_path.clone(),
    });
    Ok(wanted.collect())
}

fn hosts(plan: &Plan) -> Vec<String> {
    let own = route::host_of(&plan.name);
    match (plan.no_hostname, plan.hosts.is_empty(), plan.random_route) {
        (true, ..) => vec![String::new()],
        (false, false, _) => plan.hosts.clone(),
        (false, true, false) => vec![own],
        (false, true, true) => vec![format!("{own}-{}", words::random())],
    }
}
