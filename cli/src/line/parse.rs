//! From the table to a parser and from what was typed to [`Args`].

use clap::{ArgAction, ArgMatches, Command};

use super::spec::{Arg, Flag, Spec};
use super::{help, suggest};
use crate::commands;
use crate::error::CfError;

/// What was typed after a command's name.
#[derive(Debug, Clone)]
pub struct Args(ArgMatches);

impl Args {
    /// An argument or a flag's value, when given.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.try_get_one::<String>(key).ok().flatten();
        found.map(String::as_str)
    }

    /// An argument that the parser insists on.
    pub fn need(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// Every value of a flag or of the last arguments.
    pub fn all(&self, key: &str) -> Vec<&str> {
        let found = self.0.try_get_many::<String>(key).ok().flatten();
        found.into_iter().flatten().map(String::as_str).collect()
    }

    /// Whether a switch was given.
    pub fn has(&self, key: &str) -> bool {
        let found = self.0.try_get_one::<bool>(key).ok().flatten();
        found.copied().unwrap_or(false)
    }

    /// A whole number; the error names the flag.
    pub fn number<N: std::str::FromStr>(&self, key: &str) -> Result<Option<N>, CfError> {
        let bad = |text: &str| {
            CfError::Usage(format!(
                "invalid value {text:?} for {key}: a whole number is wanted"
            ))
        };
        self.get(key)
            .map(|text| text.parse().map_err(|_| bad(text)))
            .transpose()
    }
}

/// What a command line asks for.
pub enum Asked {
    /// A command.
    Run(&'static Spec, Args),
    /// The overview.
    Overview,
    /// One command's page.
    Page(&'static Spec),
    /// The version.
    Version,
    /// The completion script of a shell.
    Completion(String),
}

/// Whether results are to be JSON; looked at before parsing, so that a parse error
/// can be JSON too.
pub fn wants_json(typed: &[String]) -> bool {
    typed
        .iter()
        .take_while(|a| *a != "--")
        .any(|a| a == "--json")
}

/// Reads a command line without the program's name.
pub fn parse(typed: &[String]) -> Result<Asked, CfError> {
    let Some(name) = typed.iter().find(|a| *a != "--json") else {
        return Ok(Asked::Overview);
    };
    match name.as_str() {
        "-v" | "--version" => return Ok(Asked::Version),
        "-h" | "--help" => return Ok(Asked::Overview),
        _ => {}
    }
    let spec = commands::find(name).ok_or_else(|| suggest::unknown(name))?;
    let wants_help = |a: &String| a == "--help" || a == "-h";
    if typed.iter().take_while(|a| *a != "--").any(wants_help) {
        return Ok(Asked::Page(spec));
    }
    let line = std::iter::once("cf").chain(typed.iter().map(String::as_str));
    let matches = parser()
        .try_get_matches_from(line)
        .map_err(|e| misused(spec, &e))?;
    match matches.subcommand() {
        Some((_, own)) => local(spec, Args(own.clone())),
        None => Ok(Asked::Overview),
    }
}

/// What needs no controller is answered from the table.
fn local(spec: &'static Spec, args: Args) -> Result<Asked, CfError> {
    match (spec.name, args.get("COMMAND")) {
        ("help", None) => Ok(Asked::Overview),
        ("help", Some(name)) => commands::find(name)
            .map(Asked::Page)
            .ok_or_else(|| suggest::unknown(name)),
        ("version", _) => Ok(Asked::Version),
        ("completion", _) => Ok(Asked::Completion(args.need("SHELL").to_owned())),
        _ => Ok(Asked::Run(spec, args)),
    }
}

fn misused(spec: &Spec, error: &clap::Error) -> CfError {
    let text = error.to_string();
    let first: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let said = first.join(" ");
    CfError::Usage(format!(
        "{}\n\nUSAGE:\n   {}\n\nTIP: `cf help {}` explains the command.",
        said.trim_start_matches("error: "),
        help::usage(spec),
        spec.name
    ))
}

/// The parser of the whole table.
pub fn parser() -> Command {
    let json = clap::Arg::new("json")
        .long("json")
        .global(true)
        .action(ArgAction::SetTrue)
        .help("Print one JSON document instead of tables");
    let root = Command::new("cf")
        .about("A command line for Bloomery and Cloud Foundry v2")
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .arg(json);
    commands::all().fold(root, |root, spec| root.subcommand(command(spec)))
}

fn command(spec: &'static Spec) -> Command {
    let mut command = Command::new(spec.name)
        .about(spec.about)
        .disable_help_flag(true);
    if !spec.alias.is_empty() {
        command = command.visible_alias(spec.alias);
    }
    let flags = spec.flags.iter().map(flag);
    command.args(spec.args.iter().map(argument)).args(flags)
}

fn argument(spec: &'static Arg) -> clap::Arg {
    let mut arg = clap::Arg::new(spec.name)
        .help(spec.help)
        .allow_hyphen_values(spec.name == "VALUE")
        .allow_negative_numbers(true)
        .required(spec.required);
    if spec.many {
        arg = arg.action(ArgAction::Append).num_args(0..);
    }
    if !spec.env.is_empty() {
        arg = arg.env(spec.env).hide_env_values(true);
    }
    arg
}

fn flag(spec: &'static Flag) -> clap::Arg {
    let mut arg = clap::Arg::new(spec.key()).help(spec.help);
    let mut shorts = spec.shorts();
    if let Some(first) = shorts.next() {
        arg = arg
            .short(first)
            .visible_short_aliases(shorts.collect::<Vec<_>>());
    }
    let mut longs = spec.longs();
    if let Some(first) = longs.next() {
        arg = arg.long(first).visible_aliases(longs.collect::<Vec<_>>());
    }
    if !spec.env.is_empty() {
        arg = arg.env(spec.env).hide_env_values(true);
    }
    match (spec.value.is_empty(), spec.many) {
        (true, _) => arg.action(ArgAction::SetTrue),
        (false, many) => {
            let action = if many {
                ArgAction::Append
            } else {
                ArgAction::Set
            };
            // `-i -1` means "no limit" in quotas.
            arg.action(action)
                .value_name(spec.value)
                .allow_negative_numbers(true)
        }
    }
}
