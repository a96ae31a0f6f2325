//! What is wrong with a configuration on its server: all of it at once, each finding at its key.

use super::{
    columns::{self, Finding},
    config::{Dialect, Settings},
    connector::ask,
    tables::{self, Target},
};
use crate::{error::Error, net::Sql};
use levada_connector_api::{Config, config::KeyError};

/// Findings told at most; a thousand tables may all have the same.
const MOST: usize = 20;
/// Tables looked at; what is wrong with others shows when they are read.
const MOST_TABLES: usize = 200;

/// Errors of a configuration that is right for itself.
pub fn check(dialect: Dialect, config: &Config) -> Vec<KeyError> {
    // What is wrong with the configuration alone is told by its own rules.
    let Ok(settings) = Settings::read(dialect, config) else { return Vec::new() };
    let findings = ask(async { Ok(examine(&settings, config).await) });
    let mut findings = findings.unwrap_or_else(|error| vec![("connection.url", error.to_string())]);
    if findings.len() > MOST {
        let more = findings.len() - MOST;
        findings.truncate(MOST);
        findings.push((if settings.query.is_some() { "query" } else { settings.tables.key() }, format!("{more} more")));
    }
    findings.into_iter().map(|(key, message)| KeyError { key: key.to_owned(), message }).collect()
}

async fn examine(settings: &Settings, config: &Config) -> Vec<Finding> {
    let sql = match tables::connect(settings).await {
        Ok(sql) => sql,
        Err(error) => return vec![(access_key(&error), error.to_string())],
    };
    let mut findings = Vec::new();
    if let Err(error) = zone(&sql, settings).await {
        findings.push(("db.timezone", error.to_string()));
    }
    let targets = match &settings.query {
        Some(query) => vec![Target::query(settings, query)],
        None => targets(&sql, settings, config, &mut findings).await,
    };
    for target in targets.iter().take(MOST_TABLES) {
        let columns = async {
            let columns = columns::columns(&sql, target).await?;
            // Privileges are looked at by what runs, or would.
            sql.rows(&target.action(), &format!("EXPLAIN SELECT * FROM {} AS _q", target.from)).await?;
            Ok::<_, Error>(columns)
        };
        match columns.await {
            Ok(columns) => findings.extend(columns::keys(settings, target, &columns).err().unwrap_or_default()),
            Err(error) => {
                let masked = config.get("query.masked").is_some_and(|query| !query.is_empty());
                let key = match (&settings.query, masked) {
                    (None, _) => settings.tables.key(),
                    (Some(_), true) => "query.masked",
                    (Some(_), false) => "query",
                };
                findings.push((key, error.to_string()));
            }
        }
    }
    findings
}

async fn targets(sql: &Sql, settings: &Settings, config: &Config, findings: &mut Vec<Finding>) -> Vec<Target> {
    let key = settings.tables.key();
    let tables = match tables::list(sql, settings).await {
        Ok(tables) => tables,
        Err(error) => {
            findings.push((key, error.to_string()));
            return Vec::new();
        }
    };
    let database = &settings.connection.dbname;
    let missing = settings.tables.missing(database, &tables);
    if !missing.is_empty() {
        let text = format!(
            "database {database} has no table {} of a kind in table.types for user {}; names have a case",
            missing.join(", "),
            settings.login.user
        );
        findings.push((key, text));
    } else if tables.is_empty() {
        let text = format!("no table of database {database} is chosen; look at schema.pattern and table.types too");
        findings.push((key, text));
    }
    for refused in [tables::refuse_twins(settings, &tables), tables::refuse_names(settings, config, &tables)] {
        if let Err(error) = refused {
            findings.push((key, error.to_string()));
        }
    }
    tables.into_iter().map(|table| Target::table(settings, table)).collect()
}

/// Whether the server knows the zone.
async fn zone(sql: &Sql, settings: &Settings) -> Result<(), Error> {
    let query = format!("SELECT now() AT TIME ZONE {}", crate::net::literal(&settings.zone));
    sql.rows("the zone is not known to the server; use a name of pg_timezone_names", &query).await.map(drop)
}

/// The key that a failed connection is about.
fn access_key(error: &Error) -> &'static str {
    match error.code() {
        Some("28P01") => "connection.password",
        Some(code) if code.starts_with("28") => "connection.user",
        _ => "connection.url",
    }
}
