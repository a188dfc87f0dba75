//! The flags of `cf push`.

use std::path::PathBuf;

use super::{app, push};
use crate::error::CfError;
use crate::line::{Args, Group, Spec, maybe, option, switch};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "push",
    alias: "p",
    group: Group::Apps,
    about: "Push a new app or sync changes to an existing app",
    args: &[maybe(
        "APP_NAME",
        "App; all apps of the manifest when left out",
    )],
    flags: &[
        option(
            "-b",
            "BUILDPACK",
            "Buildpack name or git URL; null or default detects",
        ),
        option("-c", "COMMAND", "Start command; null or default resets it"),
        option("-d", "DOMAIN", "Domain"),
        option("-f", "MANIFEST_PATH", "Manifest file or its directory"),
        option("-i", "NUM_INSTANCES", "Number of instances"),
        option("-k", "DISK", "Disk limit, e.g. 256M, 1024M, 1G"),
        option("-m", "MEMORY", "Memory limit, e.g. 256M, 1024M, 1G"),
        option("--hostname, -n", "HOST_NAME", "Hostname"),
        option("-p", "PATH", "Directory or archive"),
        option("-s", "STACK", "Stack"),
        option(
            "-t",
            "TIMEOUT",
            "Seconds until the app must accept connections",
        ),
        option(
            "--health-check-type, -u",
            "TYPE",
            "port, process, http or none",
        ),
        option("--route-path", "ROUTE_PATH", "Path of the route"),
        switch("--no-hostname", "Map the root domain to this app"),
        switch("--no-manifest", "Ignore the manifest"),
        switch(
            "--no-route",
            "Do not map a route, and remove those there are",
        ),
        switch("--no-start", "Do not start the app after pushing"),
        switch("--random-route", "Create a random route for this app"),
    ],
    notes: "--json prints an array with one object per app.",
    json: app::PUSHED,
    run: |cx, args| Box::pin(async { push::run(cx, flags(args)?).await }),
}];

/// What was typed.
#[derive(Debug, Default, Clone)]
pub(super) struct Push {
    pub(super) app: Option<String>,
    pub(super) buildpack: Option<String>,
    pub(super) command: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) manifest: Option<PathBuf>,
    pub(super) instances: Option<u64>,
    pub(super) disk: Option<String>,
    pub(super) memory: Option<String>,
    pub(super) host: Option<String>,
    pub(super) path: Option<PathBuf>,
    pub(super) stack: Option<String>,
    pub(super) timeout: Option<u64>,
    pub(super) health_check_type: Option<String>,
    pub(super) route_path: Option<String>,
    pub(super) no_hostname: bool,
    pub(super) no_manifest: bool,
    pub(super) no_route: bool,
    pub(super) no_start: bool,
    pub(super) random_route: bool,
}

fn flags(args: &Args) -> Result<Push, CfError> {
    let text = |key: &str| args.get(key).map(str::to_owned);
    Ok(Push {
        app: text("APP_NAME"),
        buildpack: text("b"),
        command: text("c"),
        domain: text("d"),
        manifest: text("f").map(PathBuf::from),
        instances: args.number("i")?,
        disk: text("k"),
        memory: text("m"),
        host: text("hostname"),
        path: text("p").map(PathBuf::from),
        stack: text("s"),
        timeout: args.number("t")?,
        health_check_type: text("health-check-type"),
        route_path: text("route-path"),
        no_hostname: args.has("no-hostname"),
        no_manifest: args.has("no-manifest"),
        no_route: args.has("no-route"),
        no_start: args.has("no-start"),
        random_route: args.has("random-route"),
    })
}
