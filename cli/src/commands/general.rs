//! help, version, completion: answered from the table, without a controller.

use crate::line::{Group, Json, NONE, Spec, arg, maybe};

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "help",
        alias: "h",
        group: Group::GettingStarted,
        about: "Show help",
        args: &[maybe("COMMAND", "Command to explain")],
        json: Json::Raw,
        ..NONE
    },
    Spec {
        name: "version",
        group: Group::GettingStarted,
        about: "Print the version",
        json: Json::Raw,
        ..NONE
    },
    Spec {
        name: "completion",
        group: Group::GettingStarted,
        about: "Print the completion script of a shell",
        args: &[arg("SHELL", "bash, zsh or fish")],
        notes: "\nEXAMPLES:\n   source <(cf completion bash)\n   cf completion fish > ~/.config/fish/completions/cf.fish",
        json: Json::Raw,
        ..NONE
    },
];
