//! Instances in the database.

use super::{Store, StoreError, failed, rows};
use crate::id::InstanceName;
use crate::record::Instance;

impl Store {
    /// Of all sessions, oldest first.
    pub async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        let rows = sqlx::query("SELECT * FROM instances ORDER BY created_ms, hostname")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("list the instances"))?;
        rows.iter().map(rows::instance).collect::<Result<_, _>>().map_err(failed("read an instance"))
    }

    pub async fn add_instance(&self, instance: &Instance) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO instances (name, session, hostname, image, kind, node, ip, created_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(instance.name.as_str())
        .bind(instance.session.reveal())
        .bind(&instance.hostname)
        .bind(&instance.image)
        .bind(&instance.kind)
        .bind(&instance.node)
        .bind(instance.ip.to_string())
        .bind(rows::milliseconds(instance.created))
        .execute(&self.pool)
        .await
        .map_err(failed("add an instance"))?;
        Ok(())
    }

    /// No error when it is gone already.
    pub async fn remove_instance(&self, name: &InstanceName) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM instances WHERE name = ?")
            .bind(name.as_str())
            .execute(&self.pool)
            .await
            .map_err(failed("remove an instance"))?;
        Ok(())
    }
}
