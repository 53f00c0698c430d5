//! The schema: made, and one day migrated, by whoever opens the store first, under an advisory lock.

use aloft_store::Error;

use crate::connection::Connection;
use crate::fault::{Fault, told};
use crate::lock::Class;

/// The level of the schema that this release writes. It reads this one and, from the second on, the one before.
pub(crate) const LEVEL: i64 = 1;

const TABLES: &str = include_str!("sql/schema.sql");
const FUNCTIONS: &str = include_str!("sql/functions.sql");

/// Makes the schema if there is none; refuses one of a level that this release does not know.
pub(crate) async fn prepare(
    connection: &mut Connection,
    schema: &str,
    class: Class,
    name: &str,
) -> Result<(), Fault> {
    let fault = |error: tokio_postgres::Error| match Fault::read(&error, name) {
        Fault::Final(_) => Fault::Final(Error::Unsuitable {
            database: name.to_owned(),
            reason: format!(
                "the store's schema cannot be made there: {}; its user needs the right to create it",
                told(&error)
            ),
        }),
        other => other,
    };
    let transaction = connection.client.transaction().await.map_err(fault)?;
    transaction
        .batch_execute(&format!("SELECT pg_advisory_xact_lock({}, 1)", class.0))
        .await
        .map_err(fault)?;
    // Read through the catalogue, since the table itself may not be there.
    let found = transaction
        .query_one(
            "SELECT to_regclass($1) IS NOT NULL",
            &[&format!("{schema}.facts")],
        )
        .await
        .map_err(fault)?;
    if found.get::<_, bool>(0) {
        let row = transaction
            .query_opt("SELECT value FROM facts WHERE name = 'level'", &[])
            .await
            .map_err(fault)?;
        let level: i64 = row.map_or(0, |row| row.get(0));
        if level != LEVEL {
            return Err(Fault::Final(Error::Unsuitable {
                database: name.to_owned(),
                reason: format!(
                    "its schema has level {level}, this release reads level {LEVEL}: use the release that wrote it, or a newer one"
                ),
            }));
        }
        return Ok(());
    }
    let make = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};\n{TABLES}\n{FUNCTIONS}\nINSERT INTO facts VALUES ('level', {LEVEL});"
    );
    transaction.batch_execute(&make).await.map_err(fault)?;
    transaction.commit().await.map_err(fault)
}

/// Says what of the server's settings takes durability away from what is acknowledged.
pub(crate) async fn warn_of_weak_settings(connection: &Connection, name: &str) -> Result<(), Fault> {
    let weak = "SELECT string_agg(name || '=' || setting, ', ') FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'";
    let row = connection
        .client
        .query_one(weak, &[])
        .await
        .map_err(|error| Fault::read(&error, name))?;
    if let Some(settings) = row.get::<_, Option<String>>(0) {
        tracing::warn!(
            database = name,
            settings,
            "the server gives durability away: what is acknowledged may not survive a power cut"
        );
    }
    Ok(())
}
