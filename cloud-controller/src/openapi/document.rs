//! The document: every endpoint with what its handler takes.

use serde_json::{Map, Value, json};
use v2_api::limits::{EMBEDDED_LEVELS, PAGE_RESOURCES};
use v2_api::query::DEFAULT_PAGE_SIZE;

use super::shape::Operation;
use crate::api::Endpoint;

/// The OpenAPI document of these endpoints and the token server's, as seen at this address.
pub(crate) fn document(base: &str, version: &str, endpoints: &[(Endpoint, Operation)]) -> Value {
    let mut paths = Map::new();
    for (endpoint, operation) in endpoints {
        let shown = operation_of(endpoint, operation);
        put(&mut paths, &endpoint.path, endpoint.method, shown);
    }
    for (method, path) in uaa::ENDPOINTS {
        let endpoint = Endpoint {
            path: (*path).to_owned(),
            method,
        };
        let shown = operation_of(&endpoint, &Operation::default());
        put(&mut paths, path, method, shown);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Bloomery cloud controller",
            "version": version,
            "description": "The v2 API. Every 4xx and 5xx has a JSON body with code, error_code and description.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": {"Error": error()},
            "securitySchemes": {"token": {"type": "oauth2", "flows": {"password": {
                "tokenUrl": format!("{base}/oauth/token"),
                "refreshUrl": format!("{base}/oauth/token"),
                "scopes": {
                    "cloud_controller.read": "read what one's roles let one read",
                    "cloud_controller.write": "change what one's roles let one change",
                    "cloud_controller.admin": "everything",
                },
            }}}},
        },
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["code", "error_code", "description"],
        "properties": {
            "code": {"type": "integer", "description": "the number clients tell errors apart by"},
            "error_code": {"type": "string", "description": "the error's name, e.g. CF-AppNotFound"},
            "description": {"type": "string", "description": "what is wrong, and what to do"},
        },
    })
}

fn put(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    // The rest of a path is one parameter here too; OpenAPI knows no other kind.
    let path = path.replace("{*", "{");
    let methods = paths.entry(path).or_insert_with(|| json!({}));
    methods[method.to_lowercase()] = operation;
}

fn operation_of(endpoint: &Endpoint, operation: &Operation) -> Value {
    let mut shown = json!({
        "operationId": format!("{} {}", endpoint.method, endpoint.path),
        "tags": [tag(&endpoint.path)],
        "parameters": parameters(endpoint, operation),
        "responses": {
            "2XX": {"description": "done, or what was asked for"},
            "default": {
                "description": "an error",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    });
    if operation.secured {
        shown["security"] = json!([{"token": []}]);
    }
    if let Some(body) = &operation.body {
        let required = body.schema.get("required").is_some();
        shown["requestBody"] =
            json!({"required": required, "content": {body.kind: {"schema": body.schema}}});
    }
    shown
}

/// The collection it belongs to.
fn tag(path: &str) -> &str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("v2") => parts.next().unwrap_or("v2"),
        Some(first) if !first.starts_with('{') => first,
        _ => "discovery",
    }
}

fn parameters(endpoint: &Endpoint, operation: &Operation) -> Vec<Value> {
    let named = endpoint.path.split('{').skip(1);
    let named = named.filter_map(|rest| rest.split('}').next());
    let mut all: Vec<Value> = named
        .map(|name| {
            json!({"name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    if operation.query {
        let known = query_of(endpoint.method);
        all.extend(known.iter().map(|(name, schema, says)| {
            json!({"name": name, "in": "query", "schema": schema, "description": says})
        }));
    }
    all
}

/// Query parameters that are understood wherever a request of this method looks at its query: name, schema, meaning.
fn query_of(method: &str) -> Vec<(&'static str, Value, &'static str)> {
    let flag = json!({"type": "boolean"});
    let depth = json!({"type": "integer", "minimum": 0, "maximum": EMBEDDED_LEVELS, "default": 0});
    let depth = (
        "inline-relations-depth",
        depth,
        "how deep relations are embedded",
    );
    let run = ("async", flag.clone(), "answer with a job");
    match method {
        "GET" => vec![
            (
                "q",
                json!({"type": "array", "items": {"type": "string"}}),
                "filters: name:value, also >= <= > < and IN",
            ),
            (
                "page",
                json!({"type": "integer", "minimum": 1, "default": 1}),
                "which page",
            ),
            (
                "results-per-page",
                json!({"type": "integer", "minimum": 1, "maximum": PAGE_RESOURCES, "default": DEFAULT_PAGE_SIZE}),
                "members of a page",
            ),
            (
                "order-direction",
                json!({"type": "string", "enum": ["asc", "desc"], "default": "asc"}),
                "which end comes first",
            ),
            (
                "order-by",
                json!({"type": "string"}),
                "name, where members have names",
            ),
            depth,
        ],
        "DELETE" => vec![run, ("recursive", flag, "with all that hangs on it")],
        _ => vec![depth, run],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v2_api::ListQuery;

    #[test]
    fn the_bounds_in_the_document_are_those_of_the_reader() {
        for (name, schema, _) in query_of("GET") {
            for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
                let Some(limit) = schema[bound].as_i64() else {
                    continue;
                };
                assert!(ListQuery::parse(&format!("{name}={limit}")).is_ok());
                let refused = ListQuery::parse(&format!("{name}={}", limit + beyond));
                assert!(refused.is_err(), "{name} beyond its {bound}");
            }
        }
    }

    #[test]
    fn operations_are_grouped_by_collection() {
        let tags = ["/v2/apps/{guid}/bits", "/bulk/apps", "/", "/v2/info"].map(tag);
        assert_eq!(tags, ["apps", "bulk", "discovery", "info"]);
    }
}
