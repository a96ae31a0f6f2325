//! Tables as the server has them, and what is done to them: made, grown by columns, never narrowed.

use super::{
    encode::ColumnType,
    fields::{EXTENSION_TYPES, Extensions, NewColumn},
    naming::TableName,
    session::Session,
};
use crate::{
    error::{Error, Result},
    net::{identifier, literal},
};
use tokio_postgres::SimpleQueryRow;

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type, beneath domains.
    pub kind: ColumnType,
    /// Whether a row without it is refused: not null, and nothing that stands in for it.
    pub needed: bool,
    /// Whether the server computes it.
    pub generated: bool,
    /// Whether only `OVERRIDING SYSTEM VALUE` writes it.
    pub identity: bool,
    /// Whether the server takes different texts for equal, by its type or collation.
    pub loose: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its number.
    pub oid: u32,
    /// Name.
    pub name: TableName,
    /// Name as SQL writes it.
    pub sql: String,
    /// Whether rows can be copied into it.
    pub copies: bool,
    /// Columns in order.
    pub columns: Vec<Column>,
}

/// Why a name stands for no column.
#[derive(Debug, PartialEq, Eq)]
pub enum NoColumn {
    /// There is none of that name.
    Missing,
    /// Several differ from it in case only.
    Ambiguous(Vec<String>),
}

/// A name that is there: the very one, else the only one that differs in case.
fn find_name<'a>(names: impl Iterator<Item = &'a str> + Clone, name: &str) -> std::result::Result<usize, NoColumn> {
    if let Some(exact) = names.clone().position(|known| known == name) {
        return Ok(exact);
    }
    let lower = name.to_lowercase();
    let similar: Vec<_> = names.enumerate().filter(|(_, known)| known.to_lowercase() == lower).collect();
    match similar.as_slice() {
        [] => Err(NoColumn::Missing),
        [(only, _)] => Ok(*only),
        many => Err(NoColumn::Ambiguous(many.iter().map(|(_, name)| (*name).to_owned()).collect())),
    }
}

impl Table {
    /// The column that a name stands for.
    pub fn column(&self, name: &str) -> std::result::Result<usize, NoColumn> {
        find_name(self.columns.iter().map(|column| column.name.as_str()), name)
    }

    /// Names of all columns, for error texts.
    pub fn column_names(&self) -> String {
        self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn text(row: &SimpleQueryRow, at: usize) -> Result<&str> {
    row.try_get(at).ok().flatten().ok_or_else(|| Error::Protocol("a row of the catalog without a value".to_owned()))
}

fn number<T: std::str::FromStr>(row: &SimpleQueryRow, at: usize) -> Result<T> {
    text(row, at)?.parse().map_err(|_| Error::Protocol("a row of the catalog without a number".to_owned()))
}

/// The name as SQL writes it.
pub fn quoted(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", identifier(schema), identifier(&name.name)),
        None => identifier(&name.name),
    }
}

/// The table of that name: the very one, else the only one in the same schema that differs in case.
pub async fn load(session: &Session, name: &TableName) -> Result<Option<Table>> {
    let action = format!("table {name} can't be looked up");
    let place = match &name.schema {
        Some(schema) => format!("n.nspname = {}", literal(schema)),
        None => "n.nspname = ANY(current_schemas(false))".to_owned(),
    };
    let query = format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'f') AND {place} \
         AND (c.relname = {literal} OR lower(c.relname::text COLLATE \"default\") = lower({literal} COLLATE \"default\")) \
         ORDER BY c.relname <> {literal}, array_position(current_schemas(false), n.nspname)",
        literal = literal(&name.name)
    );
    let rows = session.rows(&action, &query).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    if text(first, 2)? != name.name && rows.len() > 1 {
        let names: Vec<_> = rows.iter().filter_map(|row| row.get(2)).collect();
        let text = format!("there is no table {name}, and several that differ in case: {}", names.join(", "));
        return Err(Error::Setup(format!("{text}; name one of them exactly")));
    }
    let oid = number(first, 0)?;
    let found = TableName { schema: Some(text(first, 1)?.to_owned()), name: text(first, 2)?.to_owned() };
    let copies = matches!(text(first, 3)?, "r" | "p");
    let columns = columns(session, &action, oid).await?;
    Ok(Some(Table { oid, sql: quoted(&found), name: found, copies, columns }))
}

async fn columns(session: &Session, action: &str, oid: u32) -> Result<Vec<Column>> {
    // Columns of the catalog that older servers have not are asked for through JSON, where they are null.
    let query = format!(
        "SELECT a.attname, b.typname, format_type(b.oid, -1), a.atttypmod, e.typname, format_type(e.oid, -1), \
         a.attnotnull OR t.typnotnull, a.atthasdef OR t.typdefault IS NOT NULL, \
         coalesce(to_jsonb(a)->>'attgenerated', ''), coalesce(to_jsonb(a)->>'attidentity', ''), b.typtype, \
         b.typname IN ('citext', 'bpchar') OR EXISTS (SELECT FROM pg_collation l WHERE l.oid = a.attcollation AND \
           to_jsonb(l)->>'collisdeterministic' = 'false') \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         CROSS JOIN LATERAL (WITH RECURSIVE d AS (SELECT t.oid AS id, t.typtype AS kind, t.typbasetype AS base \
           UNION ALL SELECT x.oid, x.typtype, x.typbasetype FROM d JOIN pg_type x ON x.oid = d.base WHERE d.kind = 'd') \
           SELECT id FROM d WHERE kind <> 'd') r JOIN pg_type b ON b.oid = r.id \
         LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A' \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let rows = session.rows(action, &query).await?;
    rows.iter().map(column).collect()
}

fn column(row: &SimpleQueryRow) -> Result<Column> {
    let element = match row.get(4) {
        Some(name) => {
            let (name, sql) = (name.to_owned(), text(row, 5)?.to_owned());
            let kind = ColumnType { name, sql, element: None, modifier: -1, composite: false };
            Some(Box::new(kind))
        }
        None => None,
    };
    let kind = ColumnType {
        name: text(row, 1)?.to_owned(),
        sql: text(row, 2)?.to_owned(),
        element,
        modifier: number(row, 3)?,
        composite: text(row, 10)? == "c",
    };
    let (not_null, default) = (text(row, 6)? == "t", text(row, 7)? == "t");
    let (generated, identity) = (text(row, 8)?, text(row, 9)?);
    Ok(Column {
        name: text(row, 0)?.to_owned(),
        kind,
        needed: not_null && !default && identity.is_empty(),
        generated: !generated.is_empty(),
        identity: identity == "a",
        loose: text(row, 11)? == "t",
    })
}

/// Types of extensions that the database has.
pub async fn extensions(session: &Session) -> Result<Extensions> {
    let names: Vec<_> = EXTENSION_TYPES.iter().map(|name| literal(name)).collect();
    let query = format!(
        "SELECT typname, format_type(oid, -1) FROM pg_type WHERE typtype = 'b' AND typname IN ({})",
        names.join(", ")
    );
    let rows = session.rows("the types of extensions can't be read", &query).await?;
    rows.iter().map(|row| Ok((text(row, 0)?.to_owned(), text(row, 1)?.to_owned()))).collect()
}

fn definition(column: &NewColumn) -> String {
    let null = if column.not_null { " NOT NULL" } else { "" };
    let default = column.default.as_ref().map(|default| format!(" DEFAULT {default}")).unwrap_or_default();
    format!("{} {}{null}{default}", identifier(&column.name), column.sql)
}

/// Makes a table. Another task may have been faster: then it is as the other made it.
pub async fn create(session: &Session, name: &TableName, columns: &[NewColumn], keys: &[String]) -> Result<()> {
    let mut parts: Vec<_> = columns.iter().map(definition).collect();
    if !keys.is_empty() {
        let keys: Vec<_> = keys.iter().map(|key| identifier(key)).collect();
        parts.push(format!("PRIMARY KEY ({})", keys.join(", ")));
    }
    let sql = format!("CREATE TABLE {} ({})", quoted(name), parts.join(", "));
    match session.run(&format!("table {name} can't be made"), &sql).await {
        // The table, its row type or its index, each by the other's hand.
        Err(error) if matches!(error.code(), Some("42P07" | "42710" | "23505")) => Ok(()),
        other => other,
    }
}

/// Adds columns. Another task may have been faster.
pub async fn add_columns(session: &Session, table: &Table, columns: &[NewColumn]) -> Result<()> {
    let parts: Vec<_> =
        columns.iter().map(|column| format!("ADD COLUMN IF NOT EXISTS {}", definition(column))).collect();
    let sql = format!("ALTER TABLE {} {}", table.sql, parts.join(", "));
    session.run(&format!("table {} can't be given columns", table.name), &sql).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_exactly_or_by_case() {
        let find = |name| find_name(["id", "Name", "x", "X"].into_iter(), name);
        assert_eq!(find("id"), Ok(0));
        assert_eq!(find("NAME"), Ok(1));
        assert_eq!(find("X"), Ok(3));
        assert_eq!(find("other"), Err(NoColumn::Missing));
        let many = find_name(["a", "A"].into_iter(), "á");
        assert_eq!(many, Err(NoColumn::Missing));
        assert!(
            matches!(find_name(["ab", "AB"].into_iter(), "aB"), Err(NoColumn::Ambiguous(names)) if names.len() == 2)
        );
    }
}
