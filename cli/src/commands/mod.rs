//! One file per group of commands.

mod app;
mod apps;
mod curl;
mod env;
mod events;
mod files;
mod life;
mod log;
mod push;
mod push_plan;
mod route;
mod session;
mod start;

use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::CfError;
use crate::ui::Ui;

/// Runs one command; the code is what the program exits with.
pub async fn run(cli: Cli, ui: Ui) -> Result<ExitCode, CfError> {
    if let Command::Help { command } = &cli.command {
        return help(command.as_deref());
    }
    if let Command::Version = cli.command {
        ui.result(&format!("cf version {}", env!("CARGO_PKG_VERSION")));
        return Ok(ExitCode::SUCCESS);
    }
    let mut cx = Context::load(ui)?;
    if let Command::Curl {
        path,
        method,
        header,
        data,
        include,
        fail,
    } = cli.command
    {
        return curl::run(&mut cx, &path, method, &header, data, include, fail).await;
    }
    dispatch(&mut cx, cli.command)
        .await
        .map(|()| ExitCode::SUCCESS)
}

async fn dispatch(cx: &mut Context, command: Command) -> Result<(), CfError> {
    match command {
        Command::Api { url, unset, .. } => session::api(cx, url, unset).await,
        Command::Login(flags) => session::login(cx, flags).await,
        Command::Logout => session::logout(cx),
        Command::Auth { username, password } => session::auth(cx, &username, &password).await,
        Command::Target { org, space } => session::target(cx, org, space).await,
        Command::Push(flags) => push::run(cx, *flags).await,
        Command::Apps => apps::run(cx).await,
        Command::App { app, guid } => app::run(cx, &app, guid).await,
        Command::Scale {
            app,
            instances,
            memory,
            disk,
            force,
        } => {
            life::scale(
                cx,
                &app,
                life::Scale {
                    instances,
                    memory,
                    disk,
                    force,
                },
            )
            .await
        }
        Command::Start { app } => start::run(cx, &app).await,
        Command::Stop { app } => life::stop(cx, &app).await,
        Command::Restart { app } => life::restart(cx, &app).await,
        Command::Restage { app } => life::restage(cx, &app).await,
        Command::Delete { app, force, routes } => life::delete(cx, &app, force, routes).await,
        Command::Logs { app, recent } => log::run(cx, &app, recent).await,
        Command::Files {
            app,
            path,
            instance,
        } => files::run(cx, &app, path.as_deref().unwrap_or("/"), instance).await,
        Command::Env { app } => env::show(cx, &app).await,
        Command::SetEnv { app, name, value } => env::set(cx, &app, &name, &value).await,
        Command::Events { app } => events::run(cx, &app).await,
        Command::Help { .. } | Command::Version | Command::Curl { .. } => Ok(()),
    }
}

fn help(command: Option<&str>) -> Result<ExitCode, CfError> {
    use clap::CommandFactory;
    let mut root = Cli::command();
    let shown = match command {
        None => root.print_help(),
        Some(name) => match root.find_subcommand_mut(name) {
            Some(sub) => sub.print_help(),
            None => {
                return Err(CfError::Usage(format!(
                    "'{name}' is not a registered command. See 'cf help'"
                )));
            }
        },
    };
    shown.map_err(CfError::file("standard output"))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks a yes/no question on the terminal; without one the answer is no, with a hint.
fn confirmed(question: &str) -> Result<bool, CfError> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        return Err(CfError::Usage(format!(
            "{question} Nobody can be asked here; add -f to go ahead."
        )));
    }
    eprint!("{question} [yN]: ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(CfError::file("standard input"))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
