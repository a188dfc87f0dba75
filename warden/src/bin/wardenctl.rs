//! Containers by hand; see `wardenctl --help`.

fn main() {}
