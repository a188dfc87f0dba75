//! The parameters of a monitoring page: `subs`, `sort`, `limit`, `offset`, `cid`.

/// Rows on one page unless the query says otherwise.
const ROWS: usize = 1024;

/// What stands after the question mark.
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let pair = |part: &'a str| part.split_once('=').unwrap_or((part, ""));
        Self(text.split('&').map(pair).collect())
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find_map(|(name, value)| (*name == key).then_some(*value))
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.text(key), Some("1" | "true" | "detail"))
    }

    pub(super) fn number(&self, key: &str) -> Option<usize> {
        self.text(key)?.parse().ok()
    }

    pub(super) fn offset(&self) -> usize {
        self.number("offset").unwrap_or(0)
    }

    /// Rows wanted; 0 means as many as usual.
    pub(super) fn limit(&self) -> usize {
        match self.number("limit") {
            None | Some(0) => ROWS,
            Some(limit) => limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_defaults_and_survive_nonsense() {
        let query = Query::new("subs=1&limit=x&&sort=subs&offset=7&=");
        assert!(query.flag("subs") && !query.flag("auth"));
        assert_eq!((query.limit(), query.offset()), (ROWS, 7));
        assert_eq!(query.text("sort"), Some("subs"));
    }
}
