//! From Host and path to the table keys to try, most specific first.

/// A context path deeper than this is not looked for: a request must not cost more than its head.
const MAX_DEPTH: usize = 16;

/// The host of a Host header: without port and last dot; an IPv6 literal keeps its brackets.
fn host_part(host: &str) -> &str {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(host.len(), |at| at + 2),
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].trim_end_matches('.')
}

/// The table key of a registered uri: lower case, without query and trailing slash.
pub fn normalize(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    uri.trim().trim_end_matches('/').to_lowercase()
}

/// The keys of one request, tried most specific first. Kept between requests:
/// after the first few a lookup allocates nothing.
#[derive(Debug, Default)]
pub struct Keys {
    host: String,
    path: String,
    /// Where the prefixes of the path end, shortest first.
    ends: Vec<usize>,
    key: String,
}

impl Keys {
    /// Takes host and path of a request.
    /// A path that begins with no slash (the star of OPTIONS) is none: it must not make the host longer.
    pub fn read(&mut self, host: &str, path: &str) {
        self.host.clear();
        self.host.push_str(host_part(host));
        self.host.make_ascii_lowercase();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = if path.starts_with('/') { path } else { "" };
        self.path.clear();
        self.path.push_str(path.trim_end_matches('/'));
        self.path.make_ascii_lowercase();
        let inner = self.path.match_indices('/').map(|(at, _)| at).skip(1);
        self.ends.clear();
        self.ends
            .extend(inner.chain([self.path.len()]).take(MAX_DEPTH));
        self.ends.retain(|end| *end > 0);
    }

    /// The first key that `look` knows: per host pattern (exact, then `*.rest` dropping a
    /// label at a time) the longest path prefix first, the bare host last.
    pub fn find<T>(&mut self, mut look: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let wildcards = self.host.match_indices('.').map(|(dot, _)| ("*", dot));
        for (star, from) in std::iter::once(("", 0)).chain(wildcards) {
            for end in self.ends.iter().rev().copied().chain([0]) {
                self.key.clear();
                self.key.push_str(star);
                self.key.push_str(&self.host[from..]);
                self.key.push_str(&self.path[..end]);
                if let Some(found) = look(&self.key) {
                    return Some(found);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(host: &str, path: &str) -> Vec<String> {
        let (mut keys, mut seen) = (Keys::default(), Vec::new());
        keys.read(host, path);
        let nothing: Option<()> = keys.find(|key| {
            seen.push(key.to_owned());
            None
        });
        assert_eq!(nothing, None);
        seen
    }

    #[test]
    fn hosts_lose_port_case_and_trailing_dot() {
        for (given, expected) in [
            ("Dora.Example.com:8080", "dora.example.com"),
            ("a.b.", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(candidates(given, "/")[0], expected);
        }
    }

    #[test]
    fn keys_go_from_exact_to_wildcard_and_from_long_to_short_path() {
        let keys = candidates("a.b.c", "/X/y/?q=/z");
        let expected = [
            "a.b.c/x/y",
            "a.b.c/x",
            "a.b.c",
            "*.b.c/x/y",
            "*.b.c/x",
            "*.b.c",
            "*.c/x/y",
            "*.c/x",
            "*.c",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn what_is_no_path_makes_no_other_host() {
        assert_eq!(candidates("a.b", "*"), ["a.b", "*.b"]);
        assert_eq!(candidates("a.b", "c/d"), ["a.b", "*.b"]);
    }

    #[test]
    fn a_deep_path_costs_a_bounded_number_of_keys() {
        assert!(candidates("a", &"/x".repeat(5000)).len() <= MAX_DEPTH + 1);
    }

    #[test]
    fn registered_uris_are_normalized() {
        assert_eq!(
            normalize("Foo.Example.com/Path/?q=1"),
            "foo.example.com/path"
        );
    }
}
