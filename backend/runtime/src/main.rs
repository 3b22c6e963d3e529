//! drydock-runtime
fn main() {}
