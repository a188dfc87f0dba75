//! From Host and path to the table keys to try, most specific first.

/// A context path deeper than this is not looked for: a request must not cost more than its head.
const MAX_DEPTH: usize = 16;

/// The host of a Host header: no port, lower case; an IPv6 literal keeps its brackets.
pub fn host_only(host: &str) -> String {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(host.len(), |at| at + 2),
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].trim_end_matches('.').to_ascii_lowercase()
}

/// The table key of a registered uri: lower case, without query and trailing slash.
pub fn normalize(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    uri.trim().trim_end_matches('/').to_lowercase()
}

/// Keys for a request: per host pattern (exact, then `*.rest` dropping a label
/// at a time) the longest path prefix first, the bare host last.
pub fn candidates(host: &str, path: &str) -> impl Iterator<Item = String> {
    let paths = prefixes(path);
    patterns(host_only(host)).flat_map(move |host| {
        let keys: Vec<String> = paths.iter().map(|path| format!("{host}{path}")).collect();
        keys
    })
}

fn patterns(host: String) -> impl Iterator<Item = String> {
    let wildcards: Vec<String> = host
        .match_indices('.')
        .map(|(dot, _)| format!("*{}", &host[dot..]))
        .collect();
    std::iter::once(host).chain(wildcards)
}

/// `/a/b/c?x` gives `/a/b/c`, `/a/b`, `/a` and the empty path.
fn prefixes(path: &str) -> Vec<String> {
    let path = normalize(path);
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .skip(1)
        .chain([path.len()]);
    let mut found: Vec<String> = ends
        .take(MAX_DEPTH)
        .map(|end| path[..end].to_owned())
        .filter(|prefix| !prefix.is_empty())
        .collect();
    found.reverse();
    found.push(String::new());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_case_and_trailing_dot() {
        for (given, expected) in [
            ("Dora.Example.com:8080", "dora.example.com"),
            ("a.b.", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_only(given), expected);
        }
    }

    #[test]
    fn keys_go_from_exact_to_wildcard_and_from_long_to_short_path() {
        let keys: Vec<String> = candidates("a.b.c", "/X/y/?q=/z").collect();
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
    fn a_deep_path_costs_a_bounded_number_of_keys() {
        assert!(candidates("a", &"/x".repeat(5000)).count() <= MAX_DEPTH + 1);
    }

    #[test]
    fn registered_uris_are_normalized() {
        assert_eq!(
            normalize("Foo.Example.com/Path/?q=1"),
            "foo.example.com/path"
        );
    }
}
