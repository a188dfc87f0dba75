//! What must hold for every input, stated once for the fuzz target (`v2-api/fuzz`) and for the test that replays its corpus.

use crate::codes::Code;
use crate::limits::{CONDITIONS, EMBEDDED_LEVELS, IN_VALUES, PAGE_RESOURCES};
use crate::query::{Filter, ListQuery, Op};

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

/// A query string is refused as a bad query, or its pages link to each other with nothing but the page changed.
///
/// # Panics
/// When that does not hold.
pub fn query(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    match ListQuery::parse(raw) {
        Ok(asked) => accepted(&asked),
        Err(error) => assert_eq!(error.code, Code::BadQueryParameter),
    }
}

fn accepted(asked: &ListQuery) {
    assert!((1..=PAGE_RESOURCES).contains(&asked.per_page) && asked.page >= 1);
    assert!(asked.depth <= EMBEDDED_LEVELS && asked.filters.len() <= CONDITIONS);
    assert!(asked.offset() >= 0);
    asked.filters.iter().for_each(spelled_again);
    let seen = u64::from(asked.page) * u64::from(asked.per_page);
    let list = asked.page_of("/v2/apps", seen + 1, vec![()]);
    let size = u64::from(asked.per_page);
    assert!(
        list.total_pages * size > seen && (list.total_pages - 1) * size <= seen,
        "the last page holds the last member"
    );
    let next = list.next_url.expect("one more member is on the next page");
    links_to(asked, &next, asked.page + 1);
    match list.prev_url {
        Some(link) => links_to(asked, &link, asked.page - 1),
        None => assert_eq!(asked.page, 1),
    }
    assert_eq!(asked.page_of("/", seen, vec![()]).next_url, None);
}

fn links_to(asked: &ListQuery, link: &str, page: u32) {
    assert!(
        link.bytes().all(|byte| byte.is_ascii_graphic()),
        "{link:?} cannot be asked for as it stands"
    );
    let query = link.strip_prefix("/v2/apps?").expect("the same path");
    // Behind the last page that can be asked for there is none.
    if let Ok(other) = ListQuery::parse(query) {
        assert_eq!(other.page, page);
        assert_eq!(
            (other.per_page, other.order, other.by_name, other.depth),
            (asked.per_page, asked.order, asked.by_name, asked.depth)
        );
        assert_eq!(other.filters, asked.filters);
    } else {
        assert!(page > 1_000_000, "{link:?} is refused");
    }
}

/// A condition written down again is the same condition.
fn spelled_again(filter: &Filter) {
    let sign = match filter.op {
        Op::Eq => ":",
        Op::Ge => ">=",
        Op::Le => "<=",
        Op::Lt => "<",
        Op::Gt => ">",
        Op::In => " IN ",
    };
    assert!((1..=IN_VALUES).contains(&filter.values.len()));
    let text = format!("{}{sign}{}", filter.key, filter.values.join(","));
    let again = Filter::parse(&text).expect("it was accepted before");
    assert_eq!(&again, filter, "{text:?}");
}

#[cfg(test)]
mod tests {
    use super::replay::Replay;

    #[test]
    fn pages_link_to_each_other_whatever_was_asked() {
        let replay = Replay {
            target: "query",
            more: Vec::new(),
            spice: b"&=;:,%+<> q\xc3",
            mutations: 10_000,
            longest: 500,
        };
        replay.run(super::query);
    }
}
