//! Query strings of list requests: `q`, paging, ordering and `inline-relations-depth`.
//!
//! `q` is `key<op>value`; several conditions come as `;` inside one `q` or as repeated `q=`, and are
//! all required. `;;` is a literal `;`.

use url::form_urlencoded;

use crate::codes::Code;
use crate::error::ApiError;
use crate::limits::{CONDITIONS, EMBEDDED_LEVELS, IN_VALUES, PAGE_RESOURCES};

/// Members per page when the client names none.
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Comparison of one condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `:`
    Eq,
    /// `>=`
    Ge,
    /// `<=`
    Le,
    /// `<`
    Lt,
    /// `>`
    Gt,
    /// ` IN ` with a comma list.
    In,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Left side, as the client wrote it.
    pub key: String,
    /// Comparison.
    pub op: Op,
    /// Right side; more than one value only with [`Op::In`]. The empty text is a value.
    pub values: Vec<String>,
}

impl Filter {
    /// Reads one condition.
    ///
    /// # Errors
    /// `BadQueryParameter` (10005) when there is no operator or no key.
    pub fn parse(text: &str) -> Result<Filter, ApiError> {
        let end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|end| *end > 0)
            .ok_or_else(|| bad(text))?;
        let (key, rest) = text.split_at(end);
        let (op, value) = operator(rest).ok_or_else(|| bad(text))?;
        let values: Vec<String> = match op {
            Op::In => value.split(',').map(|v| v.trim().to_owned()).collect(),
            _ => vec![value.to_owned()],
        };
        if values.len() > IN_VALUES {
            return Err(bad(format!("{key} IN with more than {IN_VALUES} values")));
        }
        Ok(Filter {
            key: key.to_owned(),
            op,
            values,
        })
    }
}

fn operator(rest: &str) -> Option<(Op, &str)> {
    const OPS: [(&str, Op); 6] = [
        (" IN ", Op::In),
        (">=", Op::Ge),
        ("<=", Op::Le),
        (":", Op::Eq),
        ("<", Op::Lt),
        (">", Op::Gt),
    ];
    OPS.iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (*op, value)))
}

/// Direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest (or smallest) first; the default.
    Asc,
    /// Newest (or largest) first.
    Desc,
}

/// What a list request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Page number, from 1.
    pub page: u32,
    /// Members per page, 1–100.
    pub per_page: u32,
    /// Direction.
    pub order: Order,
    /// `order-by=name` was given; other columns are ignored.
    pub by_name: bool,
    /// Levels of embedded relations, 0–3.
    pub depth: u32,
    /// All conditions; every one must hold.
    pub filters: Vec<Filter>,
    /// The parameters that page links repeat, already encoded.
    carried: Vec<(String, String)>,
}

impl Default for ListQuery {
    fn default() -> ListQuery {
        ListQuery {
            page: 1,
            per_page: DEFAULT_PAGE_SIZE,
            order: Order::Asc,
            by_name: false,
            depth: 0,
            filters: Vec::new(),
            carried: Vec::new(),
        }
    }
}

impl ListQuery {
    /// Reads a raw (still percent-encoded) query string. Unknown parameters are ignored, as clients add `async=true` everywhere.
    ///
    /// # Errors
    /// `BadQueryParameter` (10005) naming the parameter and its limit.
    pub fn parse(raw: &str) -> Result<ListQuery, ApiError> {
        let mut query = ListQuery::default();
        for (key, value) in form_urlencoded::parse(raw.as_bytes()) {
            query.apply(&key, &value)?;
        }
        if query.filters.len() > CONDITIONS {
            return Err(bad(format!("more than {CONDITIONS} conditions in q")));
        }
        Ok(query)
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), ApiError> {
        match key {
            "page" => self.page = number(key, value, 1, 1_000_000)?,
            "results-per-page" => self.per_page = number(key, value, 1, PAGE_RESOURCES)?,
            "inline-relations-depth" => self.depth = number(key, value, 0, EMBEDDED_LEVELS)?,
            "order-by" => self.by_name = value == "name",
            "order-direction" => {
                self.order = match value {
                    "asc" => Order::Asc,
                    "desc" => Order::Desc,
                    other => return Err(bad(format!("order-direction {other}: use asc or desc"))),
                }
            }
            "q" => {
                for part in split_conditions(value) {
                    self.filters.push(Filter::parse(&part)?);
                }
            }
            _ => {}
        }
        const CARRIED: [&str; 6] = [
            "q",
            "inline-relations-depth",
            "orphan-relations",
            "exclude-relations",
            "include-relations",
            "order-by",
        ];
        if CARRIED.contains(&key) {
            self.carried.push((key.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    /// Rows to skip.
    pub fn offset(&self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.per_page)
    }

    /// The value of a plain `key:value` condition.
    pub fn equals(&self, key: &str) -> Option<&str> {
        self.filters
            .iter()
            .find(|f| f.key == key && f.op == Op::Eq)
            .map(|f| f.values[0].as_str())
    }

    /// Wraps one page of `path` (no host) in the list envelope.
    pub fn page_of<T>(&self, path: &str, total: u64, resources: Vec<T>) -> crate::List<T> {
        let pages = total.div_ceil(u64::from(self.per_page)).max(1);
        let page = u64::from(self.page);
        crate::List {
            total_results: total,
            total_pages: pages,
            prev_url: (page > 1).then(|| self.link(path, page - 1)),
            next_url: (page < pages).then(|| self.link(path, page + 1)),
            resources,
        }
    }

    fn link(&self, path: &str, page: u64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let order = if self.order == Order::Asc {
            "asc"
        } else {
            "desc"
        };
        query.append_pair("order-direction", order);
        query.append_pair("page", &page.to_string());
        query.append_pair("results-per-page", &self.per_page.to_string());
        query.extend_pairs(self.carried.iter());
        format!("{path}?{}", query.finish())
    }
}

fn number(key: &str, value: &str, min: u32, max: u32) -> Result<u32, ApiError> {
    match value.parse::<u32>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(bad(format!(
            "{key} must be a number from {min} to {max}, not {value:?}"
        ))),
    }
}

fn split_conditions(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = c != ';' || chars.next_if_eq(&';').is_some();
        match (literal, parts.last_mut()) {
            (true, Some(last)) => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn bad(detail: impl std::fmt::Display) -> ApiError {
    ApiError::with(Code::BadQueryParameter, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn filter(key: &str, op: Op, values: &[&str]) -> Filter {
        Filter {
            key: key.into(),
            op,
            values: values.iter().map(|v| v.to_string()).collect(),
        }
    }

    #[test]
    fn both_ways_to_join_conditions_are_read() {
        let joined = ListQuery::parse("q=host:web;domain_guid:d").unwrap();
        let repeated = ListQuery::parse("q=host:web&q=domain_guid:d").unwrap();
        assert_eq!(joined.filters, repeated.filters);
        assert_eq!(joined.filters[1], filter("domain_guid", Op::Eq, &["d"]));
    }

    #[test]
    fn an_empty_value_is_a_condition() {
        let query = ListQuery::parse("q=domain_guid:d&q=host:h&q=path:").unwrap();
        assert_eq!(query.filters[2], filter("path", Op::Eq, &[""]));
    }

    #[test]
    fn operators_and_lists_are_read() {
        let cases = [
            (
                "q=timestamp>=2015-01-01T00:00:00Z",
                filter("timestamp", Op::Ge, &["2015-01-01T00:00:00Z"]),
            ),
            ("q=name+IN+a,b", filter("name", Op::In, &["a", "b"])),
            ("q=name:a;;b", filter("name", Op::Eq, &["a;b"])),
            ("q=path:%2Ffoo", filter("path", Op::Eq, &["/foo"])),
            ("q=x<3", filter("x", Op::Lt, &["3"])),
        ];
        for (raw, expected) in cases {
            assert_eq!(
                ListQuery::parse(raw).unwrap().filters,
                vec![expected],
                "{raw}"
            );
        }
    }

    #[test]
    fn limits_are_refused_by_name() {
        for raw in [
            "results-per-page=101",
            "page=0",
            "inline-relations-depth=4",
            "order-direction=up",
            "q=name",
            "q=:x",
        ] {
            let error = ListQuery::parse(raw).unwrap_err();
            assert_eq!(error.row().code, 10005, "{raw}");
        }
    }

    #[test]
    fn pages_levels_conditions_and_values_are_counted() {
        let joined = |what: &str, by: &str, count: usize| vec![what; count].join(by);
        for (times, fits) in [(0, true), (1, false), (99, false)] {
            let (pages, levels) = (PAGE_RESOURCES * times, EMBEDDED_LEVELS * times);
            // One more where it is to be too much.
            for raw in [
                format!("results-per-page={}", PAGE_RESOURCES + pages.max(times)),
                format!(
                    "inline-relations-depth={}",
                    EMBEDDED_LEVELS + levels.max(times)
                ),
                format!("q={}", joined("a:b", ";", CONDITIONS + times as usize)),
                format!(
                    "q=a%20IN%20{}",
                    joined("b", ",", IN_VALUES + times as usize)
                ),
            ] {
                assert_eq!(ListQuery::parse(&raw).is_ok(), fits, "{raw:.80}");
            }
        }
    }

    #[test]
    fn next_url_is_a_path_that_repeats_filters_and_depth() {
        let query =
            ListQuery::parse("q=name:a&inline-relations-depth=1&page=2&results-per-page=10")
                .unwrap();
        let list = query.page_of("/v2/apps", 35, vec![0; 10]);
        assert_eq!(
            list.next_url.unwrap(),
            "/v2/apps?order-direction=asc&page=3&results-per-page=10&q=name%3Aa&inline-relations-depth=1"
        );
        assert!(list.prev_url.unwrap().contains("page=1"));
        assert_eq!(list.total_pages, 4);
    }

    proptest! {
        #[test]
        fn any_query_string_is_answered_without_panic(raw in ".{0,200}") {
            let _ = ListQuery::parse(&raw);
            let _ = ListQuery::parse(&format!("q={raw}"));
        }
    }
}
