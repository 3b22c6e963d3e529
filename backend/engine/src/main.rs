//! drydock-engine
fn main() {}
