//! stacks, stack.

use serde_json::{Value, json};

use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Group, Json, NONE, Spec, arg, switch};
use crate::ui::{Column, column};

const FIELDS: &[&str] = &["description", "guid", "name"];

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "stacks",
        group: Group::Apps,
        about: "List all stacks (a stack is a pre-built file system that can run apps)",
        json: Json::List(FIELDS),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "stack",
        group: Group::Apps,
        about: "Show information for a stack",
        args: &[arg("STACK", "Stack name")],
        flags: &[switch("--guid", "Print only the guid")],
        json: Json::One(FIELDS),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
];

fn columns() -> [Column; 2] {
    ["name", "description"].map(|key| column(key, key))
}

fn row(stack: &Value) -> Value {
    json!({
        "guid": guid(stack), "name": text(stack, "name"), "description": text(stack, "description"),
    })
}

async fn list(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    cx.announce_in_space("Getting stacks");
    let stacks = cx.client.list("/v2/stacks").await?;
    cx.ui.ok();
    cx.ui.list(&columns(), stacks.iter().map(row).collect(), "");
    Ok(())
}

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("STACK");
    if args.has("guid") {
        let stack = cx.stack_named(name).await?;
        cx.ui.raw(guid(&stack));
        return Ok(());
    }
    cx.announce_in_space(&format!("Getting stack '{}'", cx.ui.name(name)));
    let stack = cx.stack_named(name).await?;
    cx.ui.ok();
    cx.ui.one(&columns(), row(&stack));
    Ok(())
}
