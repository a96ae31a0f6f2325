//! What a table's or query's answer consists of, and which of its columns tell of new rows.

use super::{
    config::{ColumnNames, Settings},
    statement::{Keys, TimeColumn},
    tables::Target,
};
use crate::{
    error::{Error, Result},
    net::Sql,
};
use std::collections::{HashMap, HashSet};
use tokio_postgres::types::Type;

/// A column of an answer; domains are what they are made of.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: Type,
    /// Modifier of the type.
    pub modifier: i32,
    /// Whether it is a table's and NOT NULL. An outer join of a query may leave it out all the same.
    pub not_null: bool,
    /// Whether the server numbers it.
    pub numbered: bool,
}

/// Something that is wrong: a key, and what and the mend.
pub type Finding = (&'static str, String);

/// The columns of what is read.
pub async fn columns(sql: &Sql, target: &Target) -> Result<Vec<Column>> {
    let query = format!("SELECT * FROM {} AS _q", target.from);
    let statement = sql.describe(&target.action(), &query).await?;
    let known = known_columns(sql, statement.columns()).await?;
    let mut names = HashSet::new();
    let column = |column: &tokio_postgres::Column| {
        if !names.insert(column.name().to_owned()) {
            return Err(Error::Setup(format!(
                "query: two columns are called {}; give one of them another name with AS",
                column.name()
            )));
        }
        let place = column.table_oid().zip(column.column_id());
        let (not_null, numbered) = place.and_then(|place| known.get(&place)).copied().unwrap_or_default();
        Ok(Column {
            name: column.name().to_owned(),
            kind: column.type_().clone(),
            modifier: column.type_modifier(),
            not_null: not_null && target.table.is_some(),
            numbered,
        })
    };
    statement.columns().iter().map(column).collect()
}

/// Of columns of tables: whether they are NOT NULL, and whether the server numbers them.
async fn known_columns(sql: &Sql, columns: &[tokio_postgres::Column]) -> Result<HashMap<(u32, i16), (bool, bool)>> {
    let tables: HashSet<_> = columns.iter().filter_map(tokio_postgres::Column::table_oid).collect();
    if tables.is_empty() {
        return Ok(HashMap::new());
    }
    let tables: Vec<_> = tables.iter().map(ToString::to_string).collect();
    let query = format!(
        "SELECT a.attrelid, a.attnum, a.attnotnull, \
         a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%', false) \
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid IN ({}) AND a.attnum > 0 AND NOT a.attisdropped",
        tables.join(", ")
    );
    let rows = sql.rows("columns can't be read", &query).await?;
    let known = rows.iter().filter_map(|row| {
        let place = (row.get(0)?.parse().ok()?, row.get(1)?.parse().ok()?);
        Some((place, (row.get(2) == Some("t"), row.get(3) == Some("t"))))
    });
    Ok(known.collect())
}

/// The column of a name; one of another case will do where there is no other.
fn find<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name == name).or_else(|| {
        let mut others = columns.iter().filter(|column| column.name.to_lowercase() == name.to_lowercase());
        others.next().filter(|_| others.next().is_none())
    })
}

/// The columns that tell of new rows, or all that is wrong with them.
pub fn keys(settings: &Settings, target: &Target, columns: &[Column]) -> Result<Keys, Vec<Finding>> {
    let (mut keys, mut findings) = (Keys::default(), Vec::new());
    if settings.mode.uses_timestamp() {
        for column in named(&settings.timestamps, target, columns, &mut findings) {
            if column.kind == Type::TIMESTAMP || column.kind == Type::TIMESTAMPTZ {
                let zoned = column.kind == Type::TIMESTAMPTZ;
                keys.times.push(TimeColumn { name: column.name.clone(), zoned });
            } else {
                findings.push(unusable(settings.timestamps.key, target, column, "timestamp or timestamptz"));
            }
        }
        let times: Vec<_> = keys.times.iter().filter_map(|time| find(columns, &time.name)).collect();
        let nullable = !times.is_empty() && times.iter().all(|column| !column.not_null);
        if nullable && settings.non_null && target.table.is_some() {
            findings.push(may_be_null(settings.timestamps.key, target, "at least one timestamp column"));
        }
    }
    if settings.mode.uses_incrementing() {
        let named = if settings.incrementing.is_empty() {
            columns.iter().filter(|column| column.numbered).take(1).collect()
        } else {
            named(&settings.incrementing, target, columns, &mut findings)
        };
        match named.first() {
            Some(column) => {
                let number = [Type::INT2, Type::INT4, Type::INT8, Type::OID, Type::NUMERIC].contains(&column.kind);
                if !number {
                    findings.push(unusable(settings.incrementing.key, target, column, "a whole number"));
                } else if !column.not_null && settings.non_null && target.table.is_some() {
                    findings.push(may_be_null(settings.incrementing.key, target, &format!("column {}", column.name)));
                }
                keys.incrementing = Some(column.name.clone());
            }
            None if settings.incrementing.is_empty() => {
                let text = format!("{target} has no identity or serial column; name the column that grows");
                findings.push((settings.incrementing.key, text));
            }
            None => {}
        }
    }
    if findings.is_empty() { Ok(keys) } else { Err(findings) }
}

fn named<'a>(
    names: &ColumnNames,
    target: &Target,
    columns: &'a [Column],
    findings: &mut Vec<Finding>,
) -> Vec<&'a Column> {
    let all = match names.of(target.table.as_ref()) {
        Ok(all) => all,
        Err(reason) => {
            findings.push((names.key, reason));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for name in all {
        match find(columns, name) {
            Some(column) => found.push(column),
            None => {
                let known: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
                let text = format!("{target} has no column {name}; it has {}", known.join(", "));
                findings.push((names.key, text));
            }
        }
    }
    found
}

fn unusable(key: &'static str, target: &Target, column: &Column, wanted: &str) -> Finding {
    let (name, kind) = (&column.name, column.kind.name());
    (key, format!("column {name} of {target} is of type {kind}; it must be {wanted}"))
}

fn may_be_null(key: &'static str, target: &Target, what: &str) -> Finding {
    let text = format!(
        "{what} of {target} must be NOT NULL, or rows with a null would never be read: ALTER TABLE {} ALTER COLUMN ... \
         SET NOT NULL, or set validate.non.null=false",
        target.from
    );
    (key, text)
}

/// Findings as a failure of the task.
pub fn failure(findings: &[Finding]) -> Error {
    let lines: Vec<_> = findings.iter().map(|(key, text)| format!("{key}: {text}")).collect();
    Error::Setup(lines.join("\n"))
}
