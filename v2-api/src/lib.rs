//! The HTTP contract of the v2 API, shared by the controller, by `uaa` and by the command line client.
//!
//! | module | what it holds |
//! |---|---|
//! | [`address`] | the address a client used, for URLs handed back to it |
//! | [`codes`] | the table of error codes: number, name, HTTP status, message template |
//! | [`error`] | [`ApiError`], one row of that table with its details filled in |
//! | [`envelope`] | `metadata`/`entity` resources and paged lists |
//! | [`limits`] | every bound on a query |
//! | [`query`] | `q` filters, paging and `inline-relations-depth` from a query string |
//!
//! Nothing here does IO; the crate knows no web framework.

pub mod address;
pub mod codes;
pub mod envelope;
pub mod error;
#[doc(hidden)]
pub mod fuzzed;
pub mod limits;
pub mod query;

pub use codes::{Code, ErrorRow};
pub use envelope::{Job, JobStatus, List, Metadata, Resource};
pub use error::ApiError;
pub use query::{Filter, ListQuery, Op, Order};
