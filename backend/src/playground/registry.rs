//! The host's registry, as a session's nodes see it: on the gateway address of their own network.
//!
//! The listening socket is made inside the session's network namespace; nothing else of the host can be reached there.

use std::time::Duration;

use super::Session;

const PORT: u16 = 5000;
const RETRY: Duration = Duration::from_secs(1);

/// Runs until it is dropped.
pub async fn serve(session: &Session, registry: axum::Router) {
    loop {
        let outcome = match session.network.listen(PORT).await {
            Ok(listener) => axum::serve(listener, registry.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(session.id = session.id().short(), %error, "no registry for this session's nodes");
        }
        tokio::time::sleep(RETRY).await;
    }
}
