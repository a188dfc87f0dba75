//! wardenctl
fn main() {}
