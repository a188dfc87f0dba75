//! What the fuzz targets call, and plain tests with them (`router/tests/fuzzed.rs`): properties that hold
//! for any bytes whatsoever.
//!
//! `request` is what a client sends, `answer` what an instance answers, `registration` what feeds the table. What is passed on is read
//! again twice: by our own strict reader, and by `second_reader`, which believes whatever a careless one might.

mod answer;
mod registration;
mod request;
mod second_reader;

pub use answer::answer;
pub use registration::registration;
pub use request::request;

use crate::guard::Limits;
use crate::rewrite::Names;

const LIMITS: Limits = Limits {
    head_bytes: 8192,
    fields: 50,
};

/// The cookies of a router that nobody configured.
fn cookies() -> Names {
    Names {
        sessions: vec!["JSESSIONID".into()],
        instance: "__VCAP_ID__".into(),
        secure: false,
    }
}
