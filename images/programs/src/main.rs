//! drydock-image-programs
fn main() {}
