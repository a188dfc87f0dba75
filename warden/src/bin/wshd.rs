//! wshd
fn main() {}
