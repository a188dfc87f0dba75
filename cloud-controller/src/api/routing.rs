//! A router that knows its own routes, so that tests and documents take the list of endpoints from the code.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::routing::MethodRouter;

use crate::controller::Ctl;
use crate::openapi::{Operation, Shape};

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Path with its parameters in braces, e.g. `/v2/apps/{guid}`.
    pub path: String,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
}

/// Paths with their handlers, and what each takes.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Ctl>,
    operations: Vec<(Endpoint, Operation)>,
}

impl Routes {
    pub(super) fn new() -> Routes {
        Routes::default()
    }

    pub(super) fn route(mut self, path: &str, methods: Methods) -> Routes {
        let described = methods.described.into_iter().map(|(method, operation)| {
            let path = path.to_owned();
            (Endpoint { path, method }, operation)
        });
        self.operations.extend(described);
        self.router = self.router.route(path, methods.handlers);
        self
    }

    pub(super) fn merge(mut self, other: Routes) -> Routes {
        self.operations.extend(other.operations);
        self.router = self.router.merge(other.router);
        self
    }

    pub(super) fn operations(self) -> Vec<(Endpoint, Operation)> {
        self.operations
    }

    pub(super) fn into_router(self) -> Router<Ctl> {
        self.router
    }
}

/// The handlers of one path by method.
#[derive(Default)]
pub(super) struct Methods {
    handlers: MethodRouter<Ctl>,
    described: Vec<(&'static str, Operation)>,
}

macro_rules! methods {
    ($($method:ident $name:literal),*) => {
        impl Methods {
            $(pub(super) fn $method<H: Handler<T, Ctl>, T: Shape + 'static>(mut self, handler: H) -> Methods {
                self.described.push(($name, T::operation()));
                self.handlers = self.handlers.$method(handler);
                self
            })*
        }
        $(pub(super) fn $method<H: Handler<T, Ctl>, T: Shape + 'static>(handler: H) -> Methods {
            Methods::default().$method(handler)
        })*
    };
}

methods!(get "GET", post "POST", put "PUT", delete "DELETE");

impl Methods {
    /// Another limit of the body's size than that of JSON.
    pub(super) fn body(mut self, limit: DefaultBodyLimit) -> Methods {
        self.handlers = self.handlers.layer(limit);
        self
    }
}
