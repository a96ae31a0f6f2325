//! Names of topics and schemas.

use crate::config::{CaptureConfig, EventsConfig, NameAdjustment};
use std::{fmt::Write, sync::Arc};

/// Makes names.
#[derive(Clone, Debug)]
pub struct Naming {
    prefix: String,
    delimiter: String,
    transaction: String,
    heartbeat: String,
    schemas: NameAdjustment,
    fields: NameAdjustment,
}

impl Naming {
    /// Of the configuration.
    pub fn new(capture: &CaptureConfig, events: &EventsConfig) -> Self {
        let older = events.heartbeat_topics_prefix.clone().filter(|prefix| !prefix.is_empty());
        Self {
            prefix: capture.topic_prefix.clone(),
            delimiter: capture.topic_delimiter.clone(),
            transaction: capture.topic_transaction.clone(),
            heartbeat: older.unwrap_or_else(|| capture.topic_heartbeat_prefix.clone()),
            schemas: capture.schema_names,
            fields: capture.field_names,
        }
    }

    fn topic(&self, parts: &[&str]) -> Arc<str> {
        let parts: Vec<_> = parts.iter().copied().filter(|part| !part.trim().is_empty()).collect();
        Arc::from(valid_topic(&parts.join(&self.delimiter)))
    }

    /// Topic of a table.
    pub fn table(&self, schema: &str, table: &str) -> Arc<str> {
        self.topic(&[&self.prefix, schema, table])
    }

    /// Topic of transactions' begins and ends.
    pub fn transactions(&self) -> Arc<str> {
        self.topic(&[&self.prefix, &self.transaction])
    }

    /// Topic of heartbeats.
    pub fn heartbeats(&self) -> Arc<str> {
        self.topic(&[&self.heartbeat, &self.prefix])
    }

    /// Topic of logical decoding messages.
    pub fn messages(&self) -> Arc<str> {
        Arc::from(format!("{}.message", self.prefix))
    }

    /// Name of a schema; `name` has its parts apart by points.
    pub fn schema(&self, name: &str) -> String {
        adjusted(name, self.schemas, true)
    }

    /// Name of a field.
    pub fn field(&self, name: &str) -> String {
        adjusted(name, self.fields, false)
    }
}

/// `name` with what no topic may have replaced by `_`.
fn valid_topic(name: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut name: String = name.chars().map(|c| if fine(c) { c } else { '_' }).collect();
    name.truncate(249);
    match name.as_str() {
        "." => "_".to_owned(),
        ".." => "__".to_owned(),
        _ => name,
    }
}

fn adjusted(name: &str, mode: NameAdjustment, namespaced: bool) -> String {
    if mode == NameAdjustment::None {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    let mut first = true;
    for c in name.chars() {
        let dot = namespaced && c == '.';
        let letter = c.is_ascii_alphabetic() || (c == '_' && mode == NameAdjustment::Avro);
        let fine = dot || letter || (!first && c.is_ascii_digit());
        match (fine, mode) {
            (true, _) => out.push(c),
            (false, NameAdjustment::AvroUnicode) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "_u{unit:04x}");
                }
            }
            // A digit that may not come first is kept behind an underscore.
            (false, _) if c.is_ascii_digit() => {
                out.push('_');
                out.push(c);
            }
            (false, _) => out.push('_'),
        }
        first = dot;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit() {
        assert_eq!(valid_topic("p.schéma.ta ble"), "p.sch_ma.ta_ble");
        assert_eq!(adjusted("p.my-schema.1t.Value", NameAdjustment::Avro, true), "p.my_schema._1t.Value");
        assert_eq!(adjusted("a-b", NameAdjustment::AvroUnicode, false), "a_u002db");
        assert_eq!(
            adjusted("_a_9", NameAdjustment::AvroUnicode, false),
            "_u005fa_u005f9",
            "an underscore begins the others"
        );
        assert_eq!(adjusted("a-b", NameAdjustment::None, false), "a-b");
    }
}
