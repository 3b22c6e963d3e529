//! What a lab remembers of a session: text by key.

use std::collections::BTreeMap;

use sqlx::Row;

use super::{Store, StoreError, failed};
use crate::id::SessionId;

impl Store {
    pub async fn progress(&self, session: &SessionId) -> Result<BTreeMap<String, String>, StoreError> {
        let rows = sqlx::query("SELECT key, value FROM progress WHERE session = ?")
            .bind(session.reveal())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read a lab's progress"))?;
        rows.iter()
            .map(|row| Ok((row.try_get("key")?, row.try_get("value")?)))
            .collect::<sqlx::Result<_>>()
            .map_err(failed("read a lab's progress"))
    }

    /// Sets `key`, whether or not it had a value.
    pub async fn set_progress(&self, session: &SessionId, key: &str, value: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO progress (session, key, value) VALUES (?, ?, ?)")
            .bind(session.reveal())
            .bind(key)
            .bind(value)
            .execute(&self.pool)
            .await
            .map_err(failed("note a lab's progress"))?;
        Ok(())
    }
}
