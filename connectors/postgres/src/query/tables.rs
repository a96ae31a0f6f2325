//! What there is to read: the tables of the database that the configuration chooses, or the query.

use super::{config::Settings, offset, statement};
use crate::{
    catalog::TableId,
    error::{Error, Result},
    net::{Dialer, Sql, literal},
};
use levada_connector_api::{Config, SourcePartition};
use std::{fmt, sync::Arc};

/// Something that is read.
#[derive(Clone, Debug)]
pub struct Target {
    /// The table; `None` is the query.
    pub table: Option<TableId>,
    /// What stands behind FROM.
    pub from: String,
    /// Topic of its records.
    pub topic: Arc<str>,
    /// Partitions that its offset may be under; the first is the one for new ones.
    pub partitions: Vec<SourcePartition>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "table {table}"),
            None => f.write_str("the query"),
        }
    }
}

impl Target {
    /// A table.
    pub fn table(settings: &Settings, table: TableId) -> Self {
        Self {
            from: table.quoted(),
            topic: Arc::from(format!("{}{}", settings.prefix, table.name)),
            partitions: offset::partitions(&settings.connection.dbname, &table, settings.qualify),
            table: Some(table),
        }
    }

    /// The query.
    pub fn query(settings: &Settings, query: &str) -> Self {
        Self {
            from: statement::of_query(query),
            topic: Arc::from(settings.prefix.as_str()),
            partitions: vec![offset::of_query()],
            table: None,
        }
    }

    /// What is tried, for error texts.
    pub fn action(&self) -> String {
        match &self.table {
            Some(table) => format!("table {table} can't be read"),
            None => "query: it can't be run".to_owned(),
        }
    }
}

/// Opens a session.
pub async fn connect(settings: &Settings) -> Result<Sql> {
    let dialer = Dialer::new(&settings.connection)?;
    let application = settings.url.get("ApplicationName").unwrap_or("levada");
    Sql::connect_with(&dialer, &settings.login, None, application, &settings.session_options()).await
}

/// The kinds of relations that a name of `table.types` means.
fn kind(name: &str) -> &'static str {
    match name {
        "TABLE" => "'r'",
        "PARTITIONED TABLE" => "'p'",
        "VIEW" => "'v'",
        "MATERIALIZED VIEW" => "'m'",
        _ => "'f'",
    }
}

/// All tables that the configuration chooses, in order of their names.
pub async fn list(sql: &Sql, settings: &Settings) -> Result<Vec<TableId>> {
    let kinds: Vec<_> = settings.table_types.iter().map(|name| kind(name)).collect();
    let schema = settings.schema_pattern.as_ref();
    let schema = schema.map(|pattern| format!(" AND n.nspname LIKE {}", literal(pattern))).unwrap_or_default();
    let visible = if settings.qualify { "" } else { " AND pg_table_is_visible(c.oid)" };
    let query = format!(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ({}) AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'{schema}{visible} \
         ORDER BY n.nspname, c.relname",
        kinds.join(", ")
    );
    let rows = sql.rows("the tables can't be listed", &query).await?;
    let table = |row: &tokio_postgres::SimpleQueryRow| {
        Some(TableId { schema: row.get(0)?.to_owned(), name: row.get(1)?.to_owned() })
    };
    let database = &settings.connection.dbname;
    Ok(rows.iter().filter_map(table).filter(|table| settings.tables.chooses(database, table)).collect())
}

/// Refuses tables of one name in several schemas: their rows would be mixed in one topic.
pub fn refuse_twins(settings: &Settings, tables: &[TableId]) -> Result<()> {
    let twin = |(index, table): (usize, &TableId)| {
        tables.get(..index)?.iter().find(|other| other.name == table.name).map(|other| (other.clone(), table.clone()))
    };
    match tables.iter().enumerate().find_map(twin) {
        None => Ok(()),
        Some((one, other)) => Err(Error::Setup(format!(
            "{}: {one} and {other} would share the topic {}{}; choose one of them, by schema.pattern or with its schema",
            settings.tables.key(),
            settings.prefix,
            one.name
        ))),
    }
}

/// The first table whose topic's name no topic may have. A transform may give its records another, so none is looked for
/// behind transforms.
pub fn refuse_names(settings: &Settings, config: &Config, tables: &[TableId]) -> Result<()> {
    if config.get("transforms").is_some_and(|names| !names.trim().is_empty()) {
        return Ok(());
    }
    let topic = |table: &TableId| format!("{}{}", settings.prefix, table.name);
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = |name: &str| name.chars().all(fine) && (1..=249).contains(&name.len()) && !matches!(name, "." | "..");
    match tables.iter().find(|table| !is_name(&topic(table))) {
        None => Ok(()),
        Some(table) => Err(Error::Setup(format!(
            "{}: the topic \"{}\" of table {table} (topic.prefix and its name) is no name of a topic, which has at most 249 \
             letters, digits, '.', '_' and '-'; leave the table out, read it by `query`, or rename its topic by a RegexRouter \
             in transforms",
            settings.tables.key(),
            topic(table)
        ))),
    }
}

/// Parts of the tables for so many tasks, each of neighbours, none empty.
pub fn divided(tables: &[TableId], tasks: usize) -> Vec<&[TableId]> {
    let tasks = tasks.min(tables.len()).max(1);
    let (size, larger) = (tables.len() / tasks, tables.len() % tasks);
    let mut rest = tables;
    let mut parts = Vec::with_capacity(tasks);
    for task in 0..tasks {
        let (part, after) = rest.split_at((size + usize::from(task < larger)).min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_divided_evenly() {
        let tables: Vec<_> =
            (0..5).map(|number| TableId { schema: "s".to_owned(), name: format!("t{number}") }).collect();
        let sizes = |tasks| divided(&tables, tasks).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(2), [3, 2]);
        assert_eq!(sizes(9), [1; 5]);
        assert_eq!(divided(&tables, 2).concat(), tables);
    }
}
