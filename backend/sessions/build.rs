//! A changed migration alone must rebuild the crate: `sqlx::migrate!` reads the folder at compile time.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
