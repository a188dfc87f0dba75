//! A lookup allocates nothing, however many routes there are.
// A counting allocator cannot be had without `unsafe`; it only counts and passes on.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use bus::router::Endpoint;
use router::table::{Settings, Table, Wanted};

struct Counting;

thread_local! {
    // Other threads of the test harness allocate too; only ours counts.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUTES: u32 = 100_000;

fn table(now: Instant) -> Table {
    let mut table = Table::new(Settings {
        stale: Duration::from_secs(120),
        learning: Duration::from_secs(5),
        prune_without_bus: false,
        balancing: router::table::Balancing::default(),
    });
    table.resume(now);
    for number in 0..ROUTES {
        let endpoint = Endpoint {
            host: format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255),
            port: 61001,
            uris: vec![
                format!("app-{number}.example.com"),
                format!("*.wild-{number}.example.com/api"),
            ],
            private_instance_id: Some(format!("instance-{number}")),
            ..Endpoint::default()
        };
        table.register(&endpoint, now);
    }
    table
}

#[test]
fn a_lookup_among_100_000_endpoints_allocates_nothing() {
    let now = Instant::now();
    let mut table = table(now);
    assert_eq!(table.uri_count(), 2 * ROUTES as usize);
    let requests = [
        (
            "App-77777.Example.com:8080",
            "/a/b?c",
            Some("instance-77777"),
        ),
        (
            "x.wild-99999.example.com",
            "/API/v2",
            Some("instance-99999"),
        ),
        ("nobody.example.org", "/a/b/c/d/e", None),
    ];
    let mut look = || {
        for (host, path, expected) in requests {
            let wanted = Wanted {
                host,
                path,
                sticky: None,
            };
            let choice = table.choose(&wanted, &[], now).ok();
            let id = choice.as_ref().map(|choice| choice.endpoint.label());
            assert_eq!(id, expected, "{host}");
        }
    };
    // The first round makes room for keys of this length.
    look();
    let before = COUNT.get();
    for _ in 0..1000 {
        look();
    }
    assert_eq!(COUNT.get() - before, 0);
}
