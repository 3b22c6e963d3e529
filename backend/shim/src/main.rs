//! drydock-shim
fn main() {}
