//! `serve STORE ADDR:PORT [UPSTREAM]`: a store as a registry, for measurements and trials by hand.

use drydock_registry::server::{Upstream, router};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(root), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("serve STORE ADDR:PORT [UPSTREAM]".into());
    };
    let store = drydock_images::Store::open(root, None)?;
    let upstream = arguments.next().map(|address| Upstream::new(Some(address)));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, router(store, upstream)).await?)
}
