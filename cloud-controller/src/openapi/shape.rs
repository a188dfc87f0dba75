//! What a handler takes. Its arguments are extractors, and each type of extractor tells its part.

use axum::extract::{Path, RawQuery, State};
use http::HeaderMap;
use serde_json::Value;

/// One operation, as far as its handler's type tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Operation {
    /// Asks for a user's token.
    pub(crate) secured: bool,
    /// Looks at the query string.
    pub(crate) query: bool,
    /// The body it reads.
    pub(crate) body: Option<Content>,
}

/// A body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content {
    /// Media type.
    pub(crate) kind: &'static str,
    /// JSON schema.
    pub(crate) schema: Value,
}

/// An extractor.
pub(crate) trait Part {
    /// Adds what this argument tells.
    fn describe(operation: &mut Operation);
}

impl<S> Part for State<S> {
    fn describe(_: &mut Operation) {}
}

impl Part for HeaderMap {
    fn describe(_: &mut Operation) {}
}

/// The path itself names its parameters.
impl<T> Part for Path<T> {
    fn describe(_: &mut Operation) {}
}

impl Part for RawQuery {
    fn describe(operation: &mut Operation) {
        operation.query = true;
    }
}

/// The arguments of a handler, as axum's `Handler` names them: a marker, then the extractors.
pub(crate) trait Shape {
    /// What they tell together.
    fn operation() -> Operation;
}

impl Shape for ((),) {
    fn operation() -> Operation {
        Operation::default()
    }
}

macro_rules! shapes {
    ($($part:ident)+) => {
        impl<Marker, $($part: Part),+> Shape for (Marker, $($part),+) {
            fn operation() -> Operation {
                let mut operation = Operation::default();
                $($part::describe(&mut operation);)+
                operation
            }
        }
    };
}

shapes!(A);
shapes!(A B);
shapes!(A B C);
shapes!(A B C D);
shapes!(A B C D E);
shapes!(A B C D E F);
