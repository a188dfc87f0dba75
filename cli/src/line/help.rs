//! Help pages, in the original's layout, made from the table.

use std::fmt::Write;

use super::spec::{Arg, Flag, Group, Spec};
use crate::commands;

const ENVIRONMENT: &str = "\
ENVIRONMENT VARIABLES
   CF_HOME                Directory of the session file (.cf/config.json)
   CF_USERNAME            User for `cf auth`
   CF_PASSWORD            Password for `cf auth`, `cf login`, `cf create-user`
   CF_STAGING_TIMEOUT     Minutes to wait for staging
   CF_STARTUP_TIMEOUT     Minutes to wait for the first instance
   NO_COLOR               No colours

GLOBAL OPTIONS
   --help, -h             Show help
   --json                 One JSON document on standard output, messages on standard error
";

/// The overview of all commands.
pub fn overview() -> String {
    let mut page = format!(
        "NAME:\n   cf - A command line tool to interact with Bloomery and Cloud Foundry v2\n\nUSAGE:\n   cf [--json] COMMAND [ARGUMENTS] [OPTIONS]\n\nVERSION:\n   {}\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let width = commands::all()
        .map(|s| shown_name(s).len())
        .max()
        .unwrap_or(0);
    let used = |group: &Group| commands::all().any(|s| s.group == *group);
    for group in Group::ALL.into_iter().filter(used) {
        let _ = writeln!(page, "{}:", group.title());
        for spec in commands::all().filter(|s| s.group == group) {
            let _ = writeln!(page, "   {:width$}   {}", shown_name(spec), spec.about);
        }
        page.push('\n');
    }
    page + ENVIRONMENT
}

fn shown_name(spec: &Spec) -> String {
    match spec.alias {
        "" => spec.name.to_owned(),
        alias => format!("{}, {alias}", spec.name),
    }
}

/// The page of one command.
pub fn page(spec: &Spec) -> String {
    let mut page = format!(
        "NAME:\n   {} - {}\n\nUSAGE:\n   {}\n",
        spec.name,
        spec.about,
        usage(spec)
    );
    if !spec.notes.is_empty() {
        let _ = write!(page, "\n   {}\n", spec.notes.replace('\n', "\n   "));
    }
    if !spec.alias.is_empty() {
        let _ = write!(page, "\nALIAS:\n   {}\n", spec.alias);
    }
    let arguments: Vec<(String, String)> = spec.args.iter().map(argument).collect();
    block(&mut page, "ARGUMENTS", &arguments);
    let options: Vec<(String, String)> = spec.flags.iter().map(flag).collect();
    block(&mut page, "OPTIONS", &options);
    page
}

fn argument(arg: &Arg) -> (String, String) {
    (arg.name.to_owned(), with_env(arg.help, arg.env))
}

fn flag(flag: &Flag) -> (String, String) {
    (flag.names.to_owned(), with_env(flag.help, flag.env))
}

fn with_env(help: &str, env: &str) -> String {
    match env {
        "" => help.to_owned(),
        _ => format!("{help} (or in {env})"),
    }
}

fn block(page: &mut String, title: &str, lines: &[(String, String)]) {
    if lines.is_empty() {
        return;
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let _ = write!(page, "\n{title}:\n");
    for (name, help) in lines {
        let _ = writeln!(page, "   {name:width$}      {help}");
    }
}

/// `cf map-route APP_NAME DOMAIN [--hostname HOSTNAME]`.
pub fn usage(spec: &Spec) -> String {
    let arguments = spec.args.iter().map(|arg| match (arg.required, arg.many) {
        (true, _) => format!(" {}", arg.name),
        (false, false) => format!(" [{}]", arg.name),
        (false, true) => format!(" [{}...]", arg.name),
    });
    let flags = spec.flags.iter().map(|flag| {
        let name = flag.names.split(", ").next().unwrap_or_default();
        match flag.value {
            "" => format!(" [{name}]"),
            value => format!(" [{name} {value}]"),
        }
    });
    let line: String = arguments.chain(flags).collect();
    format!("cf {}{line}", spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_names_every_command_and_alias() {
        let page = overview();
        for spec in commands::all() {
            assert!(page.contains(&shown_name(spec)), "{}", spec.name);
        }
    }

    #[test]
    fn a_page_has_the_sections_of_the_original() {
        let spec = commands::find("delete").expect("a command");
        let page = page(spec);
        for section in ["NAME:", "USAGE:", "ALIAS:", "OPTIONS:"] {
            assert!(page.contains(section), "{section} in\n{page}");
        }
        assert!(page.contains("cf delete APP_NAME [-f] [-r]"), "{page}");
    }
}
