//! Rows as records. A row that does not read back is a damaged database, said so by its column.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use time::OffsetDateTime;

use crate::id::{InstanceName, Label, SessionId};
use crate::record::{Instance, Session};

pub fn session(row: &SqliteRow) -> sqlx::Result<Session> {
    Ok(Session {
        id: parsed(row, "id", SessionId::parse)?,
        label: parsed(row, "label", Label::parse)?,
        created: moment(row, "created_ms")?,
        expires: moment(row, "expires_ms")?,
        stack: row.try_get("stack")?,
        stack_name: row.try_get("stack_name")?,
        image: row.try_get("image")?,
        lab: row.try_get("lab")?,
    })
}

pub fn instance(row: &SqliteRow) -> sqlx::Result<Instance> {
    Ok(Instance {
        name: parsed(row, "name", InstanceName::parse)?,
        session: parsed(row, "session", SessionId::parse)?,
        hostname: row.try_get("hostname")?,
        image: row.try_get("image")?,
        kind: row.try_get("kind")?,
        node: row.try_get("node")?,
        ip: parsed(row, "ip", |text| text.parse().ok())?,
        created: moment(row, "created_ms")?,
    })
}

/// Milliseconds since 1970, as the database keeps times.
pub fn milliseconds(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn parsed<T>(row: &SqliteRow, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> sqlx::Result<T> {
    parse(row.try_get(column)?).ok_or_else(|| damaged(column))
}

fn moment(row: &SqliteRow, column: &'static str) -> sqlx::Result<OffsetDateTime> {
    let milliseconds: i64 = row.try_get(column)?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .map_err(|_| damaged(column))
}

fn damaged(column: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "not of the expected form".into() }
}
