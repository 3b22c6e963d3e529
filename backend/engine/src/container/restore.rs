//! What happens to containers when the engine comes back.

use std::sync::Arc;

use crate::engine::Engine;

/// Takes over containers whose shims still run, and settles the others.
pub async fn restore(engine: &Arc<Engine>) {
    engine.networks.restore(Vec::new()).await;
}
