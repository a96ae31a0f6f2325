//! Source partitions and offsets in the form of the Java connectors, so that stored ones go on either way.

use super::instant::Instant;
use crate::catalog::TableId;
use levada_connector_api::{SourceOffset, SourcePartition};
use serde_json::{Value, json};

/// Behind which row a table is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Time of the last row.
    pub timestamp: Option<Instant>,
    /// Incrementing column of the last row.
    pub incrementing: Option<i64>,
}

impl Position {
    /// Of a stored offset. Milliseconds alone are an older form.
    pub fn from_offset(offset: &SourceOffset) -> Result<Self, String> {
        let number = |key: &str| match offset.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("its {key} is no whole number")),
        };
        let nanos = number("timestamp_nanos")?;
        let timestamp = number("timestamp")?.map(|millis| Instant::of_parts(millis, nanos));
        Ok(Self { timestamp, incrementing: number("incrementing")? })
    }

    /// As it is stored; the keys are in the order in which Java's map writes them.
    pub fn to_offset(self) -> SourceOffset {
        let mut offset = SourceOffset::new();
        if let Some(timestamp) = self.timestamp {
            offset.insert("timestamp_nanos".to_owned(), json!(timestamp.nanos_of_second()));
        }
        if let Some(incrementing) = self.incrementing {
            offset.insert("incrementing".to_owned(), json!(incrementing));
        }
        if let Some(timestamp) = self.timestamp {
            offset.insert("timestamp".to_owned(), json!(timestamp.millis()));
        }
        offset
    }
}

fn of_table(name: &str) -> SourcePartition {
    let mut partition = SourcePartition::new();
    partition.insert("protocol".to_owned(), json!("1"));
    partition.insert("table".to_owned(), json!(name));
    partition
}

/// Partitions that a table's offset may be stored under, the one for new offsets first. Drivers since 42.7.5 told the
/// database too, and connectors of before 2018 the bare name alone.
pub fn partitions(database: &str, table: &TableId, qualify: bool) -> Vec<SourcePartition> {
    let mut old = SourcePartition::new();
    old.insert("table".to_owned(), json!(table.name));
    let mut all = vec![of_table(&table.to_string()), of_table(&format!("{database}.{table}")), of_table(&table.name)];
    if !qualify {
        all.swap(0, 2);
    }
    all.push(old);
    all
}

/// Partition of a query.
pub fn of_query() -> SourcePartition {
    let mut partition = SourcePartition::new();
    partition.insert("query".to_owned(), json!("query"));
    partition
}

/// Whether a partition is one of this source's.
pub fn is_known(partition: &SourcePartition) -> bool {
    partition.get("table").is_some_and(Value::is_string) || partition.get("query").is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_the_bytes_of_java() {
        let position = Position {
            timestamp: Some(Instant::of_parts(1_709_202_896_123, Some(123_456_000))),
            incrementing: Some(42),
        };
        let stored = Value::Object(position.to_offset()).to_string();
        assert_eq!(stored, r#"{"timestamp_nanos":123456000,"incrementing":42,"timestamp":1709202896123}"#);
        assert_eq!(Position::from_offset(&position.to_offset()).unwrap(), position);
        let old = json!({"timestamp": -1}).as_object().cloned().unwrap();
        let read = Position::from_offset(&old).unwrap();
        assert_eq!((read.timestamp.unwrap().millis(), read.incrementing), (-1, None));
        let wrong = json!({"incrementing": "x"}).as_object().cloned().unwrap();
        assert!(Position::from_offset(&wrong).is_err());
    }

    #[test]
    fn partitions_have_the_bytes_of_java() {
        let table = TableId { schema: "public".to_owned(), name: "t".to_owned() };
        let texts: Vec<_> =
            partitions("d", &table, true).into_iter().map(|one| Value::Object(one).to_string()).collect();
        assert_eq!(texts[0], r#"{"protocol":"1","table":"public.t"}"#);
        assert_eq!(texts[1], r#"{"protocol":"1","table":"d.public.t"}"#);
        assert_eq!(texts[3], r#"{"table":"t"}"#);
        assert_eq!(partitions("d", &table, false)[0]["table"], "t");
        assert_eq!(Value::Object(of_query()).to_string(), r#"{"query":"query"}"#);
    }
}
