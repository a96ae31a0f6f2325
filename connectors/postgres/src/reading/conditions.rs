//! Conditions and queries that a signal or the configuration brings, looked at before they become a part of a statement.
//!
//! The server's own parser is asked, so that its quotes and comments are. It takes one statement at a time here. A text that
//! it takes within parentheses as well as within brackets closes neither of them, and so is one expression; a text that it
//! takes by itself as well as within parentheses is one query.

use super::{engine::Engine, rows::Planned};
use crate::{
    catalog::TableId,
    error::{Error, Result},
    net::{Sql, identifier},
};

/// Whether `condition` is one condition on rows of a table; the error says what it is instead.
pub(super) async fn check_condition(sql: &Sql, table: &TableId, condition: &str) -> Result<()> {
    let from = table.quoted();
    let action = format!("the filter of table {table} is no condition on its rows");
    sql.describe(&action, &format!("SELECT FROM {from} WHERE ({condition})")).await?;
    let action = format!("the filter of table {table} is not one expression, but closes what it stands in");
    sql.describe(&action, &format!("SELECT FROM {from} WHERE (ARRAY[{condition}])[1]")).await.map(drop)
}

/// A query without what ends it.
pub(super) fn bare(query: &str) -> &str {
    query.trim_end_matches(|end: char| end == ';' || end.is_whitespace())
}

impl Engine {
    /// Whether what is to be read of a table is said by one condition or one query; the error says what it is instead.
    pub(super) async fn check_planned(&self, sql: &Sql, planned: &Planned) -> Result<()> {
        let id = &planned.info.id;
        match (self.select_of(planned), &planned.filter) {
            (Some(query), filter) => {
                let key = format!("snapshot.select.statement.overrides.{id}");
                let key = if filter.as_deref() == Some(query) { format!("the filter of table {id}") } else { key };
                let query = bare(query);
                let selected = sql.describe(&format!("{key} is not one query"), query).await?;
                let within = format!("SELECT FROM ({query}) levada_override");
                sql.describe(&format!("{key} is no query that can stand within another"), &within).await?;
                let has = |name: &&String| selected.columns().iter().any(|column| column.name() == name.as_str());
                let lacking: Vec<_> = planned.table.column_names().iter().filter(|name| !has(name)).collect();
                if lacking.is_empty() {
                    return Ok(());
                }
                Err(Error::Setup(format!(
                    "{key} does not select column {} of table {id}; every column is needed",
                    lacking.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(", ")
                )))
            }
            (None, Some(filter)) => check_condition(sql, id, filter).await,
            (None, None) => Ok(()),
        }
    }
}
