//! What is wrong with a configuration on its server, as validation and `levada doctor` tell it.

use super::{
    config::{Dialect, Settings},
    naming, schema,
    session::Session,
};
use crate::{
    error::{Error, Result},
    net::Dialer,
};
use levada_connector_api::{Config, ErrorKind, config::KeyError};
use std::time::Duration;

/// Longest time that the server is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Errors: what no waiting mends.
pub fn check(dialect: Dialect, config: &Config) -> Vec<KeyError> {
    found(dialect, config, false)
}

/// What may pass by itself, or concern only some records: a connector is made all the same, and tries again.
pub fn advice(dialect: Dialect, config: &Config) -> Vec<KeyError> {
    found(dialect, config, true)
}

fn found(dialect: Dialect, config: &Config, passing: bool) -> Vec<KeyError> {
    // What is wrong with the configuration alone is told by its own rules.
    let Ok(settings) = Settings::read(dialect, config) else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let looked = runtime.block_on(async { tokio::time::timeout(PATIENCE, examine(&settings, passing)).await });
    runtime.shutdown_timeout(Duration::from_millis(100));
    match looked {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) if (error.kind() == ErrorKind::Retriable) == passing => vec![refused(dialect, &error)],
        Err(_) if passing => {
            vec![finding("connection.url", format!("the server did not answer within {} seconds", PATIENCE.as_secs()))]
        }
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

fn finding(key: &str, message: String) -> KeyError {
    KeyError { key: key.to_owned(), message }
}

/// The finding of a connection that failed.
fn refused(dialect: Dialect, error: &Error) -> KeyError {
    let key = match error.code() {
        Some("28P01") => "connection.password",
        Some(code) if code.starts_with("28") && dialect == Dialect::Debezium => "connection.username",
        Some(code) if code.starts_with("28") => "connection.user",
        _ => "connection.url",
    };
    let text = error.to_string().replace("database.ssl", "connection.url: ssl").replace("database.", "connection.");
    finding(key, text)
}

async fn examine(settings: &Settings, privileges: bool) -> Result<Vec<KeyError>> {
    let session = Session::connect(settings, &Dialer::new(&settings.connection)?).await?;
    if !privileges {
        return Ok(Vec::new());
    }
    // Where every record goes to the same table, it is known.
    match settings.naming.only_table() {
        Some(text) => {
            let name = naming::parse(text, settings.fold, &settings.login.database, settings.keys.table);
            match name {
                Ok(name) => table(&session, settings, &name).await,
                Err(reason) => Ok(vec![finding(settings.keys.table, reason)]),
            }
        }
        None => Ok(Vec::from_iter(schema_finding(&session, settings, None).await?)),
    }
}

async fn table(session: &Session, settings: &Settings, name: &naming::TableName) -> Result<Vec<KeyError>> {
    let key = settings.keys.table;
    let Some(found) = schema::load(session, name).await? else {
        return Ok(if settings.create {
            Vec::from_iter(schema_finding(session, settings, name.schema.as_deref()).await?)
        } else {
            let text = format!("there is no table {name}; make it, or set {} to have it made", settings.keys.create);
            vec![finding(key, text)]
        });
    };
    let sql = format!("SELECT has_table_privilege({}, 'INSERT')", found.oid);
    let may = session.rows("privileges can't be read", &sql).await?;
    if may.first().and_then(|row| row.get(0)) != Some("f") {
        return Ok(Vec::new());
    }
    let user = crate::net::identifier(&settings.login.user);
    let text = format!(
        "user {user} may not write to table {name}; GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {user}",
        found.sql
    );
    Ok(vec![finding(key, text)])
}

/// Whether tables can be made where they are to be; the first schema of the search path without another.
async fn schema_finding(session: &Session, settings: &Settings, schema: Option<&str>) -> Result<Option<KeyError>> {
    if !settings.create {
        return Ok(None);
    }
    let name = schema.map_or_else(|| "current_schema()::text".to_owned(), crate::net::literal);
    let sql = format!(
        "SELECT {name}, coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = {name}), \
         false)"
    );
    let rows = session.rows("privileges can't be read", &sql).await?;
    let Some(row) = rows.first().filter(|row| row.get(1) == Some("f")) else { return Ok(None) };
    let (schema, user) = (row.get(0).unwrap_or("of the search path"), crate::net::identifier(&settings.login.user));
    let text = format!(
        "user {user} can't make tables in schema {schema}, or there is none; CREATE SCHEMA it, and GRANT CREATE, USAGE ON \
         SCHEMA {schema} TO {user}"
    );
    Ok(Some(finding(settings.keys.create, text)))
}
