//! The program is linked at a fixed address.
//!
//! A static program that may be loaded anywhere relocates itself at every start: fifteen thousand pointers, which dirties
//! three hundred kilobytes per process and takes longer than the clone it is started for.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rustc-link-arg-bins=-static");
    println!("cargo::rerun-if-changed=build.rs");
}
