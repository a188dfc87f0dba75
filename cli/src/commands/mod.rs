//! One file per group of commands. Each has a table `COMMANDS`; [`all`] is their sum
//! and the source of parsing, help and completion.

mod app;
mod app_manifest;
mod apps;
mod buildpacks;
mod copy_source;
mod curl;
mod domains;
mod env;
mod events;
mod feature_flags;
mod files;
mod general;
mod health_check;
mod life;
mod log;
mod orgs;
mod push;
mod push_flags;
mod push_plan;
mod quotas;
mod role_kinds;
mod roles;
mod route;
mod route_list;
mod routes;
mod scale;
mod service_bindings;
mod services;
mod session;
mod spaces;
mod stacks;
mod staging_log;
mod start;
mod target;
mod user_provided;
mod users;

use crate::error::CfError;
use crate::line::Spec;

/// The tables in the order of help.
const TABLES: &[&[Spec]] = &[
    general::COMMANDS,
    session::COMMANDS,
    target::COMMANDS,
    apps::COMMANDS,
    app::COMMANDS,
    push_flags::COMMANDS,
    scale::COMMANDS,
    life::COMMANDS,
    start::COMMANDS,
    events::COMMANDS,
    files::COMMANDS,
    log::COMMANDS,
    env::COMMANDS,
    stacks::COMMANDS,
    copy_source::COMMANDS,
    app_manifest::COMMANDS,
    health_check::COMMANDS,
    services::COMMANDS,
    service_bindings::COMMANDS,
    user_provided::COMMANDS,
    orgs::COMMANDS,
    spaces::COMMANDS,
    domains::COMMANDS,
    route_list::COMMANDS,
    routes::COMMANDS,
    buildpacks::COMMANDS,
    users::COMMANDS,
    roles::COMMANDS,
    quotas::COMMANDS,
    feature_flags::COMMANDS,
    curl::COMMANDS,
];

/// Every command.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The command of that name or alias.
pub fn find(name: &str) -> Option<&'static Spec> {
    all().find(|spec| spec.name == name || (!spec.alias.is_empty() && spec.alias == name))
}

/// Asks a yes/no question on the terminal; without one the answer is no, with a hint.
fn confirmed(question: &str) -> Result<bool, CfError> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        return Err(CfError::Usage(format!(
            "{question} Nobody can be asked here.\nTIP: add -f to go ahead."
        )));
    }
    eprint!("{question} [yN]: ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(CfError::file("standard input"))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Whether a destructive command may go on: `-f`, or somebody said yes.
fn agreed(args: &crate::line::Args, what: &str) -> Result<bool, CfError> {
    Ok(args.has("f") || confirmed(&format!("Really delete the {what}?"))?)
}

/// A secret that is not on the command line: from the terminal, or a line of
/// standard input where there is none.
fn secret(prompt: &str, variable: &str) -> Result<String, CfError> {
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{prompt}> "))
            .map_err(|e| CfError::Usage(format!("no {prompt} ({e}); set {variable}")));
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(CfError::file("standard input"))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(CfError::Usage(format!(
            "{prompt} is missing\nTIP: set {variable} or write it to standard input."
        ))),
        given => Ok(given.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_or_alias_is_used_twice() {
        let mut seen = HashSet::new();
        for spec in all() {
            for name in [spec.name, spec.alias] {
                assert!(name.is_empty() || seen.insert(name), "{name}");
            }
        }
    }

    #[test]
    fn the_parser_accepts_its_own_table() {
        crate::line::parse::parser().debug_assert();
    }
}
