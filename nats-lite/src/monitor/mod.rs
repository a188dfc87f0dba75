//! Pages for operators on an optional port: `/varz`, `/connz`, `/subsz`, `/routez`, `/healthz` and `/metrics`.

mod load;
mod pages;
mod query;
mod server;

pub(crate) use load::Load;
pub(crate) use server::serve;
