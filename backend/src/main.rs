//! drydock
fn main() {}
