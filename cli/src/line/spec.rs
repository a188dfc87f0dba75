//! What a command is: its names, its arguments, what it prints and the function
//! that runs it.

use std::future::Future;
use std::pin::Pin;

use super::parse::Args;
use crate::context::Context;
use crate::error::CfError;

/// A running command.
pub type Task<'a> = Pin<Box<dyn Future<Output = Result<(), CfError>> + 'a>>;
/// The function behind a command.
pub type Run = for<'a> fn(&'a mut Context, &'a Args) -> Task<'a>;

/// One command.
pub struct Spec {
    /// Name, as the original's.
    pub name: &'static str,
    /// Short name of the original, or empty.
    pub alias: &'static str,
    /// Where help shows it.
    pub group: Group,
    /// One line.
    pub about: &'static str,
    /// Positional arguments in order.
    pub args: &'static [Arg],
    /// Flags in the order help shows them.
    pub flags: &'static [Flag],
    /// Examples and remarks of the help page, or empty.
    pub notes: &'static str,
    /// What `--json` prints.
    pub json: Json,
    /// What it does.
    pub run: Run,
}

/// The base that table entries complete.
pub const NONE: Spec = Spec {
    name: "",
    alias: "",
    group: Group::Advanced,
    about: "",
    args: &[],
    flags: &[],
    notes: "",
    json: Json::Done,
    run: |_, _| Box::pin(async { Ok(()) }),
};

/// The document that `--json` prints; the field names are the promise of `docs/cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Json {
    /// Nothing to show: `{"ok": true}`.
    Done,
    /// An array of objects with these fields.
    List(&'static [&'static str]),
    /// One object with these fields.
    One(&'static [&'static str]),
    /// Text or JSON of somebody else: printed as it is.
    Raw,
}

/// A positional argument.
pub struct Arg {
    /// Name in the usage line; also the key to ask [`Args`] for it.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it takes all that is left.
    pub many: bool,
    /// Environment variable that stands in for it, or empty.
    pub env: &'static str,
}

/// An option with or without a value.
pub struct Flag {
    /// `-f`, or `--hostname, -n`: the first name without dashes is the key.
    pub names: &'static str,
    /// Name of its value in the usage line; empty for a switch.
    pub value: &'static str,
    /// One line.
    pub help: &'static str,
    /// Environment variable that stands in for it, or empty.
    pub env: &'static str,
    /// Whether it may be given more than once.
    pub many: bool,
}

/// A required argument.
pub const fn arg(name: &'static str, help: &'static str) -> Arg {
    Arg {
        name,
        help,
        required: true,
        many: false,
        env: "",
    }
}

/// An argument that may be left out.
pub const fn maybe(name: &'static str, help: &'static str) -> Arg {
    Arg {
        required: false,
        ..arg(name, help)
    }
}

/// All arguments that are left.
pub const fn rest(name: &'static str, help: &'static str) -> Arg {
    Arg {
        many: true,
        ..maybe(name, help)
    }
}

/// A flag without a value.
pub const fn switch(names: &'static str, help: &'static str) -> Flag {
    option(names, "", help)
}

/// A flag with a value.
pub const fn option(names: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        names,
        value,
        help,
        env: "",
        many: false,
    }
}

impl Flag {
    /// The key to ask [`Args`] for it.
    pub fn key(&self) -> &'static str {
        let first = self.names.split(", ").next().unwrap_or(self.names);
        first.trim_start_matches('-')
    }

    /// Its one-letter names.
    pub fn shorts(&self) -> impl Iterator<Item = char> {
        let one = |name: &str| (!name.starts_with("--")).then(|| name.chars().nth(1));
        self.names.split(", ").filter_map(one).flatten()
    }

    /// Its long names.
    pub fn longs(&self) -> impl Iterator<Item = &'static str> {
        self.names.split(", ").filter_map(|n| n.strip_prefix("--"))
    }
}

/// Groups in the order of the original's help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// help, login, target, …
    GettingStarted,
    /// Apps.
    Apps,
    /// Services.
    Services,
    /// Orgs.
    Orgs,
    /// Spaces.
    Spaces,
    /// Domains.
    Domains,
    /// Routes.
    Routes,
    /// Buildpacks.
    Buildpacks,
    /// Users and their roles.
    UserAdmin,
    /// Quotas of orgs.
    OrgAdmin,
    /// Quotas of spaces.
    SpaceAdmin,
    /// Switches of the platform.
    FeatureFlags,
    /// curl, config, oauth-token.
    Advanced,
}

impl Group {
    /// All of them in order.
    pub const ALL: [Self; 13] = [
        Self::GettingStarted,
        Self::Apps,
        Self::Services,
        Self::Orgs,
        Self::Spaces,
        Self::Domains,
        Self::Routes,
        Self::Buildpacks,
        Self::UserAdmin,
        Self::OrgAdmin,
        Self::SpaceAdmin,
        Self::FeatureFlags,
        Self::Advanced,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::GettingStarted => "GETTING STARTED",
            Self::Apps => "APPS",
            Self::Services => "SERVICES",
            Self::Orgs => "ORGS",
            Self::Spaces => "SPACES",
            Self::Domains => "DOMAINS",
            Self::Routes => "ROUTES",
            Self::Buildpacks => "BUILDPACKS",
            Self::UserAdmin => "USER ADMIN",
            Self::OrgAdmin => "ORG ADMIN",
            Self::SpaceAdmin => "SPACE ADMIN",
            Self::FeatureFlags => "FEATURE FLAGS",
            Self::Advanced => "ADVANCED",
        }
    }
}
