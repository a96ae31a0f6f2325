//! A shape as a source offset: each table has a source partition of its own, `{"server": PREFIX, "relation": NUMBER}`,
//! which is written when the table changes and at no other time. The stream's offset stays as small as it is.

use super::{CatalogPart, Shape, ShapeColumn};
use levada_connector_api::{OffsetMap, SourceOffset, SourcePartition};
use serde_json::{Value, json};

/// Whose log a position is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The server's identity.
    pub system: String,
    /// Its timeline.
    pub timeline: i64,
}

/// A shape that was told, or accepted in silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The shape.
    pub shape: Shape,
    /// Position of the commit, and of the announcement within it. What comes again from before says nothing new.
    pub at: (u64, u64),
    /// Whose log that is in.
    pub of: Option<Origin>,
}

/// The partition of a table.
pub fn partition(prefix: &str, oid: u32) -> SourcePartition {
    OffsetMap::from_iter([
        ("server".to_owned(), Value::String(prefix.to_owned())),
        ("relation".to_owned(), Value::from(oid)),
    ])
}

impl Told {
    /// As an offset.
    pub fn to_offset(&self) -> SourceOffset {
        let shape = &self.shape;
        let column = |column: &ShapeColumn| {
            let part = column.catalog.as_ref();
            json!([
                part.map(|part| part.number),
                column.name,
                column.type_name,
                column.type_oid,
                column.modifier,
                part.map(|part| part.not_null),
                part.and_then(|part| part.default.as_deref()),
                part.is_some_and(|part| part.counts),
            ])
        };
        let text = |bytes: u8| char::from(bytes).to_string();
        let pairs = [
            ("schema", json!(shape.schema)),
            ("table", json!(shape.name)),
            ("identity", json!(text(shape.identity))),
            ("identity_columns", json!(shape.identity_columns)),
            ("key", json!(shape.key)),
            ("columns", Value::Array(shape.columns.iter().map(column).collect())),
            ("lsn_commit", json!(self.at.0 as i64)),
            ("lsn", json!(self.at.1 as i64)),
        ];
        let of = self.of.iter().flat_map(|of| [("system", json!(of.system)), ("timeline", json!(of.timeline))]);
        pairs.into_iter().chain(of).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Of an offset; the error says what is wrong with it.
    pub fn from_offset(offset: &SourceOffset) -> Result<Self, String> {
        let missing = |key: &str| format!("it has no `{key}`");
        let text = |key: &str| offset.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| missing(key));
        let number = |key: &str| offset.get(key).and_then(Value::as_i64).map(|lsn| lsn as u64);
        let texts = |key: &str| -> Vec<String> {
            let values = offset.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let columns = offset.get("columns").and_then(Value::as_array).ok_or_else(|| missing("columns"))?;
        let shape = Shape {
            schema: text("schema")?,
            name: text("table")?,
            identity: text("identity")?.bytes().next().unwrap_or(b'd'),
            identity_columns: texts("identity_columns"),
            key: texts("key"),
            columns: columns.iter().map(column).collect::<Option<_>>().ok_or("its `columns` can't be read")?,
        };
        let timeline = offset.get("timeline").and_then(Value::as_i64);
        let of = text("system").ok().zip(timeline).map(|(system, timeline)| Origin { system, timeline });
        Ok(Self { shape, at: (number("lsn_commit").unwrap_or(0), number("lsn").unwrap_or(0)), of })
    }
}

fn column(value: &Value) -> Option<ShapeColumn> {
    let part = |index: usize| value.get(index);
    let number = part(0)?.as_i64().and_then(|number| i16::try_from(number).ok());
    let catalog = number.map(|number| CatalogPart {
        number,
        not_null: part(5).and_then(Value::as_bool).unwrap_or(false),
        default: part(6).and_then(Value::as_str).map(str::to_owned),
        counts: part(7).and_then(Value::as_bool).unwrap_or(false),
    });
    Some(ShapeColumn {
        name: part(1)?.as_str()?.to_owned(),
        type_name: part(2)?.as_str()?.to_owned(),
        type_oid: u32::try_from(part(3)?.as_u64()?).ok()?,
        modifier: i32::try_from(part(4)?.as_i64()?).ok()?,
        catalog,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_comes_back_as_it_was() {
        let catalog = CatalogPart { number: 7, not_null: true, default: Some("'x'".to_owned()), counts: true };
        let known = ShapeColumn {
            name: "a \"b\"".to_owned(),
            type_oid: 1700,
            modifier: 655_366,
            type_name: "numeric".to_owned(),
            catalog: Some(catalog),
        };
        assert_eq!(known.type_text(), "numeric(10,2)");
        let unknown = ShapeColumn { catalog: None, modifier: -1, ..known.clone() };
        let shape = Shape {
            schema: "s".to_owned(),
            name: "t".to_owned(),
            identity: b'i',
            identity_columns: vec!["a".to_owned()],
            key: Vec::new(),
            columns: vec![known, unknown],
        };
        let of = Some(Origin { system: "7".to_owned(), timeline: 2 });
        let told = Told { shape, at: (u64::MAX - 1, 5), of };
        let old = Told { of: None, ..told.clone() };
        assert_eq!(Told::from_offset(&old.to_offset()).unwrap(), old);
        assert_eq!(Told::from_offset(&told.to_offset()).unwrap(), told);
        assert!(Told::from_offset(&OffsetMap::new()).is_err());
        let print = told.shape.fingerprint(5);
        assert_eq!(print.len(), 16);
        assert_ne!(print, told.shape.fingerprint(6));
        assert_eq!(print, Shape { ..told.shape.clone() }.fingerprint(5));
    }
}
