//! drydock-frontend
fn main() {}
