//! Which table a topic's records go to.

use levada_connector_api::{SchemaType, SinkRecord, Value};
use std::borrow::Cow;

/// Longest identifier of the server in bytes; it cuts longer ones silently, which would mix up what they name.
pub const MAX_IDENTIFIER: usize = 63;

/// What stand for `.` and `"` of a value that is put into a name, so that they do not take the name apart. They are no
/// characters, so no name has them.
const DOT: char = '\u{FDD0}';
const QUOTE: char = '\u{FDD1}';

fn kept_whole(value: &str) -> String {
    value.replace('.', "\u{FDD0}").replace('"', "\u{FDD1}")
}

fn as_given(text: &str) -> Cow<'_, str> {
    if text.contains([DOT, QUOTE]) {
        Cow::Owned(text.replace(DOT, ".").replace(QUOTE, "\""))
    } else {
        Cow::Borrowed(text)
    }
}

/// The first `${...}` of a format that stands for nothing.
pub fn unknown_variable(format: &str) -> Option<&str> {
    let mut rest = format;
    while let Some(start) = rest.find("${") {
        rest = rest.get(start..)?;
        let end = rest.find('}').map_or(rest.len(), |end| end + 1);
        let (variable, after) = rest.split_at(end);
        let field = variable.strip_prefix("${source.").and_then(|field| field.strip_suffix('}'));
        if variable != "${topic}" && field.is_none_or(str::is_empty) {
            return Some(variable);
        }
        rest = after;
    }
    None
}

/// A table's name, in no quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Schema; without one the connection's search path decides.
    pub schema: Option<String>,
    /// Table.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// How tables are named.
#[derive(Clone, Debug)]
pub struct Naming {
    format: String,
    mapping: Vec<(String, String)>,
    /// Characters of a topic's name that become `_`.
    replaced: Replaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaced {
    None,
    Dots,
    NonWords,
}

impl Naming {
    /// Debezium's: dots of a topic become `_`, and the source block has a say.
    pub fn debezium(format: String) -> Self {
        Self { format, mapping: Vec::new(), replaced: Replaced::Dots }
    }

    /// Confluent's and Aiven's.
    pub fn jdbc(format: String, mapping: Vec<(String, String)>, normalize: bool) -> Self {
        Self { format, mapping, replaced: if normalize { Replaced::NonWords } else { Replaced::None } }
    }

    /// Whether a topic's records may go to different tables.
    pub fn by_record(&self) -> bool {
        self.format.contains("${source.")
    }

    /// The text of the one table that every record goes to, where it is one.
    pub fn only_table(&self) -> Option<&str> {
        (self.mapping.is_empty() && !self.format.contains("${")).then_some(self.format.as_str())
    }

    /// The text that names the table of a record, for [`parse`]: values of the source block are in it whole.
    pub fn text(&self, record: &SinkRecord) -> Result<String, String> {
        if let Some((_, table)) = self.mapping.iter().find(|(topic, _)| **topic == *record.topic) {
            return Ok(table.clone());
        }
        let topic: Cow<'_, str> = match self.replaced {
            Replaced::None => Cow::Borrowed(&record.topic),
            Replaced::Dots => Cow::Owned(record.topic.replace('.', "_")),
            Replaced::NonWords => {
                Cow::Owned(record.topic.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_'), "_"))
            }
        };
        let mut text = self.format.replace("${topic}", &topic);
        while let Some(start) = text.find("${source.") {
            let end = text.get(start..).and_then(|rest| rest.find('}')).map(|end| start + end);
            let end = end.ok_or_else(|| format!("the table's name {:?} has no end of ${{source.", self.format))?;
            let field = text.get(start + 9..end).unwrap_or_default();
            let value = of_source(record, field).ok_or_else(|| {
                format!("the record has no source.{field}, which the name of its table ({}) asks for", self.format)
            })?;
            text.replace_range(start..=end, &kept_whole(&value));
        }
        Ok(text)
    }
}

fn of_source(record: &SinkRecord, field: &str) -> Option<String> {
    let Value::Struct(envelope) = &record.value else { return None };
    let (at, source) = envelope.schema.field("source")?;
    if source.schema.kind != SchemaType::Struct {
        return None;
    }
    let Value::Struct(source) = envelope.values.get(at)? else { return None };
    let (at, _) = source.schema.field(field)?;
    match source.values.get(at)? {
        Value::String(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// An identifier as it is used: in lower case where names are not quoted, and never one that the server would cut.
pub fn identifier(text: &str, fold: bool, what: &str) -> Result<String, String> {
    // The server folds ASCII letters only, in a database of UTF-8.
    let text = &*as_given(text);
    let name = if fold { text.to_ascii_lowercase() } else { text.to_owned() };
    if name.is_empty() || name.contains('\0') {
        return Err(format!("{what} {text:?} is no name: it is empty or has a zero character"));
    }
    if name.len() > MAX_IDENTIFIER {
        return Err(format!(
            "{what} {text:?} has {} bytes and the server keeps {MAX_IDENTIFIER}: it would be cut and might then be \
             another's; rename it by a transform (RegexRouter, ReplaceField) or the key that names tables",
            name.len()
        ));
    }
    Ok(name)
}

/// Takes a text apart at its dots; parts in double quotes are taken as they are.
pub fn parse(text: &str, fold: bool, database: &str, key: &str) -> Result<TableName, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    let text = &*as_given(text);
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (name, after) = unquote(quoted).ok_or_else(|| format!("{key}: {text:?} has no closing quote"))?;
                (identifier(&name, false, "the name")?, after)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                (identifier(name, fold, "the name")?, after)
            }
        };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None if after.is_empty() => break,
            None => return Err(format!("{key}: {text:?} goes on behind a closing quote")),
        }
    }
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop();
    match parts.as_slice() {
        [] => Ok(TableName { schema, name }),
        [catalog] if catalog == database => Ok(TableName { schema, name }),
        [catalog] => Err(format!(
            "{key}: the table's name {text:?} begins with the database {catalog:?} and the connection is to \
             {database:?}; set {key} to schema.table, or shorten the topic's name by a RegexRouter transform"
        )),
        _ => Err(format!(
            "{key}: the table's name {text:?} has more than three parts; set {key} to schema.table, or shorten the \
             topic's name by a RegexRouter transform"
        )),
    }
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('"')?;
        name.push_str(rest.get(..at)?);
        rest = rest.get(at + 1..)?;
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::Headers;

    fn table(text: &str, fold: bool) -> Result<(Option<String>, String), String> {
        parse(text, fold, "d", "table.name.format").map(|table| (table.schema, table.name))
    }

    #[test]
    fn names_are_taken_apart() {
        let named = |schema: Option<&str>, name: &str| Ok((schema.map(str::to_owned), name.to_owned()));
        assert_eq!(table("t", false), named(None, "t"));
        assert_eq!(table("S.Tä", true), named(Some("s"), "tä"));
        assert_eq!(table("d.S.T", false), named(Some("S"), "T"));
        assert_eq!(table(r#""S.x"."T""q""#, true), named(Some("S.x"), "T\"q"));
        for wrong in ["p.public.t", "a.b.c.d", "", "a..b", r#""a"#, r#""a"b"#] {
            let error = table(wrong, false).unwrap_err();
            assert!(!error.is_empty(), "{wrong}");
        }
        assert!(table(&"x".repeat(63), false).is_ok());
        assert!(table(&"ü".repeat(32), false).unwrap_err().contains("64 bytes"));
    }

    #[test]
    fn topics_name_tables() {
        let record = levada_record("p.public.t");
        assert_eq!(Naming::debezium("x_${topic}".into()).text(&record).unwrap(), "x_p_public_t");
        assert_eq!(Naming::jdbc("s.${topic}".into(), Vec::new(), false).text(&record).unwrap(), "s.p.public.t");
        assert_eq!(Naming::jdbc("${topic}".into(), Vec::new(), true).text(&record).unwrap(), "p_public_t");
        let mapping = vec![("p.public.t".to_owned(), "other".to_owned())];
        assert_eq!(Naming::jdbc("${topic}".into(), mapping, true).text(&record).unwrap(), "other");
        assert!(Naming::debezium("${source.table}".into()).text(&record).unwrap_err().contains("source.table"));
    }

    #[test]
    fn values_are_not_taken_apart() {
        let text = format!("s.x_{}", kept_whole("A.\"b"));
        assert_eq!(table(&text, false), Ok((Some("s".to_owned()), "x_A.\"b".to_owned())));
        assert_eq!(table(&text, true), Ok((Some("s".to_owned()), "x_a.\"b".to_owned())));
        let error = table(&format!("a.b.c.{}", kept_whole("d.e")), false).unwrap_err();
        assert!(error.contains("a.b.c.d.e"), "{error}");
    }

    #[test]
    fn variables_are_known_or_not() {
        for known in ["t", "${topic}", "s_${source.schema}.${source.table}x", "$topic", "{}"] {
            assert_eq!(unknown_variable(known), None, "{known}");
        }
        for (format, unknown) in
            [("a${nosuch}b", "${nosuch}"), ("${topic}.${source.}", "${source.}"), ("${source.table", "${source.table")]
        {
            assert_eq!(unknown_variable(format), Some(unknown));
        }
    }

    fn levada_record(topic: &str) -> SinkRecord {
        SinkRecord {
            topic: topic.into(),
            partition: 0,
            offset: 0,
            key_schema: None,
            key: Value::Null,
            value_schema: None,
            value: Value::Null,
            timestamp: 0,
            timestamp_type: levada_connector_api::TimestampType::CreateTime,
            headers: Headers::new(),
            original_topic: None,
        }
    }
}
