//! Which tables, columns and messages are captured, and keys that are not the primary key.

use crate::config::CaptureConfig;
use fancy_regex::{Regex, RegexBuilder};

/// Steps that a pattern may take for a name.
const STEP_LIMIT: usize = 10_000;

/// Checks a comma-separated list of patterns.
pub fn check_patterns(text: &str) -> Result<(), String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).try_for_each(|text| pattern(text).map(drop))
}

/// A pattern that must match the whole name, in any case. Look-around is known, as Java has it.
fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{text})$"))
        .case_insensitive(true)
        .backtrack_limit(STEP_LIMIT)
        .build()
        .map_err(|_| format!("\"{text}\" is no regular expression"))
}

/// Whether it does. One that takes too many steps for a name counts as if it did: what is to be hidden stays so.
fn is_match(pattern: &Regex, name: &str) -> bool {
    pattern.is_match(name).unwrap_or_else(|error| {
        tracing::warn!(pattern = pattern.as_str(), name, %error, "a pattern is too costly and counts as matching; make it simpler");
        true
    })
}

/// A list of patterns.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// Of texts that [`check_patterns`] has accepted; others are left out.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Self {
        Self(texts.iter().filter_map(|text| pattern(text.as_ref().trim()).ok()).collect())
    }

    /// Whether one of them matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| is_match(pattern, name))
    }
}

/// Include or exclude.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
}

impl Choice {
    /// Of an include list and an exclude list; an empty list is none.
    pub fn new(include: Option<&Vec<String>>, exclude: Option<&Vec<String>>) -> Self {
        let patterns =
            |list: Option<&Vec<String>>| list.filter(|list| !list.is_empty()).map(|list| Patterns::new(list));
        Self { include: patterns(include), exclude: patterns(exclude) }
    }

    /// Whether `name` is chosen.
    pub fn chooses(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|patterns| patterns.matches(name))
            && self.exclude.as_ref().is_none_or(|patterns| !patterns.matches(name))
    }

    /// Whether everything is chosen.
    pub fn is_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }
}

/// What is captured.
#[derive(Clone, Debug)]
pub struct Filters {
    schemas: Choice,
    tables: Choice,
    columns: Choice,
    columns_told: Patterns,
    types_told: Patterns,
    keys: KeyColumns,
}

impl Filters {
    /// Of the configuration.
    pub fn new(config: &CaptureConfig) -> Self {
        Self {
            schemas: Choice::new(config.schema_include.as_ref(), config.schema_exclude.as_ref()),
            tables: Choice::new(config.table_include.as_ref(), config.table_exclude.as_ref()),
            columns: Choice::new(config.column_include.as_ref(), config.column_exclude.as_ref()),
            columns_told: Patterns::new(config.column_propagate.as_deref().unwrap_or_default()),
            types_told: Patterns::new(config.datatype_propagate.as_deref().unwrap_or_default()),
            keys: KeyColumns::parse(config.message_key_columns.as_deref().unwrap_or_default()).unwrap_or_default(),
        }
    }

    /// Whether a table is captured. System tables never are, nor PostGIS' list of reference systems, whatever schema it
    /// is in: as with Debezium.
    pub fn table(&self, schema: &str, table: &str) -> bool {
        let system = schema == "information_schema" || schema.starts_with("pg_") || table == "spatial_ref_sys";
        !system && self.schemas.chooses(schema) && self.tables.chooses(&format!("{schema}.{table}"))
    }

    /// Whether a column is captured.
    pub fn column(&self, schema: &str, table: &str, column: &str) -> bool {
        self.columns.is_all() || self.columns.chooses(&format!("{schema}.{table}.{column}"))
    }

    /// Whether a column's database type, `type_name` by its own name, goes into its schema.
    pub fn propagates(&self, schema: &str, table: &str, column: &str, type_name: &str) -> bool {
        self.columns_told.matches(&format!("{schema}.{table}.{column}"))
            || self.types_told.matches(&format!("{schema}.{table}.{type_name}"))
    }

    /// The columns that `message.key.columns` gives a table as its key.
    pub fn key_columns(&self, schema: &str, table: &str) -> Option<&[String]> {
        self.keys.of(&format!("{schema}.{table}"))
    }
}

/// `message.key.columns`.
#[derive(Clone, Debug, Default)]
pub struct KeyColumns(Vec<(Regex, Vec<String>)>);

impl KeyColumns {
    /// Reads `table:column,column;table:column`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty()).map(|entry| {
            let (table, columns) = entry
                .rsplit_once(':')
                .ok_or_else(|| format!("\"{entry}\" must be schema.table:column, several columns apart by commas"))?;
            let columns: Vec<_> = columns.split(',').map(|column| column.trim().to_owned()).collect();
            if columns.iter().any(String::is_empty) {
                return Err(format!("\"{entry}\" names an empty column"));
            }
            Ok((pattern(table.trim())?, columns))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    fn of(&self, table: &str) -> Option<&[String]> {
        self.0.iter().find(|(pattern, _)| is_match(pattern, table)).map(|(_, columns)| columns.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_name_in_any_case() {
        let list = vec!["public.a".to_owned(), "s[12]\\.t.*".to_owned()];
        let choice = Choice::new(Some(&list), None);
        let others = vec!["public\\.(?!other).*".to_owned()];
        assert!(check_patterns(&others[0]).is_ok());
        let but = Choice::new(Some(&others), None);
        let costly = Patterns::new(&["(?:a+(?!c))+b"]);
        assert!(costly.matches(&"a".repeat(60)), "bounded");
        assert!(but.chooses("public.a") && !but.chooses("public.others"), "Java has look-around");
        assert!(choice.chooses("public.a") && choice.chooses("PUBLIC.A") && choice.chooses("s1.table"));
        assert!(!choice.chooses("public.ab") && !choice.chooses("xpublic.a") && !choice.chooses("s3.t"));
        assert!(!Choice::new(None, Some(&list)).chooses("public.a"));
        assert!(Choice::new(None, None).is_all());
    }

    #[test]
    fn tables_of_the_server_and_of_postgis_are_never_captured() {
        let (schemas, tables, columns) = (Choice::default(), Choice::default(), Choice::default());
        let (columns_told, types_told, keys) = (Patterns::default(), Patterns::default(), KeyColumns::default());
        let filters = Filters { schemas, tables, columns, columns_told, types_told, keys };
        assert!(filters.table("public", "t"));
        for (schema, table) in [("pg_catalog", "pg_class"), ("information_schema", "t"), ("gis", "spatial_ref_sys")] {
            assert!(!filters.table(schema, table), "{schema}.{table}");
        }
    }

    #[test]
    fn key_columns_are_found_by_table() {
        let keys = KeyColumns::parse("public.a:x,y; (.*).b:z").unwrap();
        assert_eq!(keys.of("public.a").unwrap(), ["x", "y"]);
        assert_eq!(keys.of("other.b").unwrap(), ["z"]);
        assert!(keys.of("public.c").is_none());
        assert!(KeyColumns::parse("public.a").is_err());
        assert!(KeyColumns::parse("public.a:x,").is_err());
    }
}
