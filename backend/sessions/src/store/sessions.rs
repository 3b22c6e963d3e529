//! Sessions in the database.

use time::OffsetDateTime;

use super::{Store, StoreError, failed, rows};
use crate::id::SessionId;
use crate::record::Session;

impl Store {
    pub async fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query("SELECT * FROM sessions ORDER BY created_ms")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("list the sessions"))?;
        rows.iter().map(rows::session).collect::<Result<_, _>>().map_err(failed("read a session"))
    }

    pub async fn add_session(&self, session: &Session) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sessions (id, label, created_ms, expires_ms, stack, stack_name, image, lab)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(session.id.reveal())
        .bind(session.label.as_str())
        .bind(rows::milliseconds(session.created))
        .bind(rows::milliseconds(session.expires))
        .bind(&session.stack)
        .bind(&session.stack_name)
        .bind(&session.image)
        .bind(&session.lab)
        .execute(&self.pool)
        .await
        .map_err(failed("add a session"))?;
        Ok(())
    }

    pub async fn set_expiry(&self, id: &SessionId, expires: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET expires_ms = ? WHERE id = ?")
            .bind(rows::milliseconds(expires))
            .bind(id.reveal())
            .execute(&self.pool)
            .await
            .map_err(failed("extend a session"))?;
        Ok(())
    }

    /// With its instances and progress. No error when it is gone already.
    pub async fn remove_session(&self, id: &SessionId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE id = ?")
            .bind(id.reveal())
            .execute(&self.pool)
            .await
            .map_err(failed("remove a session"))?;
        Ok(())
    }
}
