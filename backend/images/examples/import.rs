//! `import LAYOUT STORE`: takes an OCI layout into a store and says how long it took.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(layout), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("import LAYOUT STORE".into());
    };
    let begun = std::time::Instant::now();
    let store = drydock_images::Store::open(root, None)?;
    let imported = store.import_layout(layout.as_ref())?;
    let new = imported.iter().filter(|one| one.is_new).count();
    println!(
        "{} names, {new} new, {} images, {} ms",
        imported.len(),
        store.images()?.len(),
        begun.elapsed().as_millis()
    );
    Ok(())
}
