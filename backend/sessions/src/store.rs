//! The database: one SQLite file in write-ahead mode.
//!
//! The gateway keeps what it serves in memory and writes every change here first, so a restart reads back
//! exactly what clients were told. `synchronous=NORMAL` loses the last moments at a power cut, never at a
//! crash of the process; the nodes would be gone with the power too.

mod instances;
mod progress;
mod rows;
mod sessions;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenStore {
    #[error("cannot open the database {path}")]
    Connect { path: PathBuf, source: sqlx::Error },
    #[error("cannot bring the database {path} to this version's form")]
    Migrate { path: PathBuf, source: sqlx::migrate::MigrateError },
}

#[derive(Debug, thiserror::Error)]
#[error("the database could not {what}")]
pub struct StoreError {
    pub what: &'static str,
    pub source: sqlx::Error,
}

impl Store {
    /// Opens the database at `path`, which is made when missing.
    pub async fn open(path: &Path) -> Result<Self, OpenStore> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .map_err(|source| OpenStore::Connect { path: path.to_owned(), source })?;
        sqlx::migrate!()
            .run(&pool)
            .await
            .map_err(|source| OpenStore::Migrate { path: path.to_owned(), source })?;
        Ok(Self { pool })
    }

    /// Writes what is left in the log into the file and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Names the step of a failed query.
fn failed(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError { what, source }
}
