//! OpenAPI 3: a description of the API that is made from the code, so that it cannot say anything else.
//!
//! | module | what it tells |
//! |---|---|
//! | [`shape`] | what a handler takes, from the types of its arguments |
//! | [`trace`] | the schema of a body, from its own `Deserialize` |
//! | [`document`] | the document as a whole |

mod document;
mod shape;
mod trace;

pub(crate) use document::document;
pub(crate) use shape::{Content, Operation, Part, Shape};
pub(crate) use trace::schema_of;

/// The page which shows the document: one file that asks no other server for anything.
pub(crate) const PAGE: &str = include_str!("page.html");
