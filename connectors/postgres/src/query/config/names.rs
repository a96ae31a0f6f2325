//! Which tables are read, and which columns tell of new rows.

use crate::catalog::TableId;
use regex::Regex;

/// A pattern that must match the whole of a name; names have a case.
fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{text})$")).map_err(|_| format!("\"{text}\" is no regular expression"))
}

/// Checks a comma-separated list of patterns.
pub fn check_patterns(text: &str) -> Result<(), String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).try_for_each(|text| pattern(text).map(drop))
}

/// Checks `regex:column,...` or `regex:[column|column],...`.
pub fn check_mapping(text: &str) -> Result<(), String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(mapping).try_for_each(|entry| entry.map(drop))
}

fn mapping(entry: &str) -> Result<(Regex, Vec<String>), String> {
    let (table, columns) =
        entry.rsplit_once(':').ok_or_else(|| format!("\"{entry}\" must be regex:column, or regex:[column|column]"))?;
    let columns = columns.trim();
    let inner = columns.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(columns);
    let columns: Vec<_> = inner.split('|').map(|column| column.trim().to_owned()).collect();
    if columns.iter().any(String::is_empty) {
        return Err(format!("\"{entry}\" names an empty column"));
    }
    Ok((pattern(table.trim())?, columns))
}

/// Which tables are read.
#[derive(Clone, Debug)]
pub enum TableChoice {
    /// All but these names.
    Except(Vec<String>),
    /// These names.
    Named(Vec<String>),
    /// By patterns: those of the first, without those of the second.
    Patterns(Vec<Regex>, Vec<Regex>),
}

impl TableChoice {
    /// By name.
    pub fn of_names(whitelist: &[String], blacklist: &[String]) -> Self {
        if whitelist.is_empty() { Self::Except(blacklist.to_vec()) } else { Self::Named(whitelist.to_vec()) }
    }

    /// By patterns that [`check_patterns`] has accepted.
    pub fn of_patterns(include: &[String], exclude: &[String]) -> Self {
        let patterns = |texts: &[String]| texts.iter().filter_map(|text| pattern(text).ok()).collect();
        Self::Patterns(patterns(include), patterns(exclude))
    }

    /// Whether a table is read.
    pub fn chooses(&self, database: &str, table: &TableId) -> bool {
        let full = table.to_string();
        let named = |names: &[String]| {
            names.iter().any(|name| {
                *name == full
                    || *name == table.name
                    || *name == table.quoted()
                    || name.strip_prefix(database).and_then(|rest| rest.strip_prefix('.')) == Some(&full)
            })
        };
        let matched = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(&full));
        match self {
            Self::Except(names) => !named(names),
            Self::Named(names) => named(names),
            Self::Patterns(include, exclude) => matched(include) && !matched(exclude),
        }
    }

    /// The key that narrows it most, for error texts.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Except(_) => "table.blacklist",
            Self::Named(_) => "table.whitelist",
            Self::Patterns(..) => "table.include.list",
        }
    }

    /// Names that none of `tables` has.
    pub fn missing(&self, database: &str, tables: &[TableId]) -> Vec<String> {
        let Self::Named(names) = self else { return Vec::new() };
        let found = |name: &&String| {
            let one = Self::Named(vec![(*name).clone()]);
            tables.iter().any(|table| one.chooses(database, table))
        };
        names.iter().filter(|name| !found(name)).cloned().collect()
    }
}

/// Names of columns: the same for all tables, or by table.
#[derive(Clone, Debug)]
pub struct ColumnNames {
    common: Vec<String>,
    by_table: Vec<(Regex, Vec<String>)>,
    /// The key they come from.
    pub key: &'static str,
}

impl ColumnNames {
    /// Of a key with names and one with a mapping that [`check_mapping`] has accepted.
    pub fn new(common: &[String], by_table: &[String], keys: [&'static str; 2]) -> Self {
        let by_table: Vec<_> = by_table.iter().filter_map(|entry| mapping(entry).ok()).collect();
        let common = common.iter().filter(|name| !name.is_empty()).cloned().collect();
        Self { common, key: if by_table.is_empty() { keys[0] } else { keys[1] }, by_table }
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.common.is_empty() && self.by_table.is_empty()
    }

    /// Those of a table, or of the query where it is none. With a mapping each table must have exactly one entry.
    pub fn of(&self, table: Option<&TableId>) -> Result<&[String], String> {
        if self.by_table.is_empty() {
            return Ok(&self.common);
        }
        let full = table.map(ToString::to_string).unwrap_or_default();
        let mut entries = self.by_table.iter().filter(|(pattern, _)| pattern.is_match(&full));
        match (entries.next(), entries.next()) {
            (Some((_, columns)), None) => Ok(columns),
            (None, _) => Err(format!("no entry matches table {full}; add one")),
            (Some(_), Some(_)) => Err(format!("several entries match table {full}; keep one of them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str) -> TableId {
        TableId { schema: schema.to_owned(), name: name.to_owned() }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn tables_are_chosen_by_every_form_of_their_name() {
        for name in ["orders", "public.orders", "\"public\".\"orders\"", "d.public.orders"] {
            assert!(TableChoice::of_names(&texts(&[name]), &[]).chooses("d", &table("public", "orders")), "{name}");
            assert!(!TableChoice::of_names(&[], &texts(&[name])).chooses("d", &table("public", "orders")), "{name}");
            assert!(!TableChoice::of_names(&texts(&[name]), &[]).chooses("d", &table("public", "Orders")), "{name}");
        }
        let choice = TableChoice::of_patterns(&texts(&["public\\.o.*"]), &texts(&[".*_old"]));
        assert!(choice.chooses("d", &table("public", "orders")));
        assert!(!choice.chooses("d", &table("public", "orders_old")) && !choice.chooses("d", &table("s", "orders")));
        let named = TableChoice::of_names(&texts(&["a", "public.b"]), &[]);
        assert_eq!(named.missing("d", &[table("public", "a")]), ["public.b"]);
    }

    #[test]
    fn columns_come_by_table() {
        let keys = ["timestamp.column.name", "timestamp.columns.mapping"];
        let names = ColumnNames::new(&[], &texts(&["public\\.a.*:[x|y]", "public\\.b:z"]), keys);
        assert_eq!(names.of(Some(&table("public", "ab"))).unwrap(), ["x", "y"]);
        assert_eq!(names.of(Some(&table("public", "b"))).unwrap(), ["z"]);
        assert!(names.of(Some(&table("public", "c"))).is_err());
        assert_eq!(names.key, keys[1]);
        assert!(check_mapping("a").is_err() && check_mapping("a:[]").is_err() && check_mapping("a(:b").is_err());
        assert_eq!(ColumnNames::new(&texts(&["x"]), &[], keys).of(None).unwrap(), ["x"]);
    }
}
