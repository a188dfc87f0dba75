//! Conversations of `cf` with a scripted controller. Requests and bodies are typed
//! from the call lists of the v2 API, one table per group of commands: they say what
//! must be on the wire, not what a server of ours happens to accept.
#![allow(clippy::unwrap_used)]

mod apps;
mod buildpacks;
mod controller;
mod documents;
mod domains;
mod exits;
mod orgs;
mod push;
mod quotas;
mod routes;
mod script;
mod services;
mod users;
