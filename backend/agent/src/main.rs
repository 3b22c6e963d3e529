//! drydock-agent
fn main() {}
