//! Shapes of tables as they were last told, and what differs between two of them: for the schema-change topic and for
//! `schema.change.policy`. Pure; `reading::shapes` keeps them and acts on what differs.

mod diff;
mod number;
mod stored;

pub use diff::{Change, diff};
pub use number::shape_of;
pub use stored::{Origin, Told, partition};

/// What a table looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Replica identity: `d`, `n`, `f` or `i`.
    pub identity: u8,
    /// Columns of the index that is the replica identity, when one is.
    pub identity_columns: Vec<String>,
    /// Columns of the primary key.
    pub key: Vec<String>,
    /// Captured columns in order.
    pub columns: Vec<ShapeColumn>,
}

/// A column of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeColumn {
    /// Name.
    pub name: String,
    /// Number of its type.
    pub type_oid: u32,
    /// Modifier of its type.
    pub modifier: i32,
    /// Name of its type.
    pub type_name: String,
    /// What only the catalog says; `None` where the catalog had changed again when it was asked.
    pub catalog: Option<CatalogPart>,
}

/// What only the catalog says of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPart {
    /// Its number, which stays when it is renamed and is never used again.
    pub number: i16,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// Expression of its default.
    pub default: Option<String>,
    /// Whether it counts by itself.
    pub counts: bool,
}

impl ShapeColumn {
    fn number(&self) -> Option<i16> {
        self.catalog.as_ref().map(|part| part.number)
    }

    /// Its type as people write it: `numeric(10,2)`.
    pub fn type_text(&self) -> String {
        match crate::table::length_and_scale(&self.type_name, self.modifier) {
            (Some(length), Some(scale)) => format!("{}({length},{scale})", self.type_name),
            (Some(length), None) | (None, Some(length)) => format!("{}({length})", self.type_name),
            (None, None) => self.type_name.clone(),
        }
    }
}

impl Shape {
    /// Name for people.
    pub fn table(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The replica identity for people.
    pub fn identity_text(&self) -> String {
        match self.identity {
            b'f' => "FULL".to_owned(),
            b'n' => "NOTHING".to_owned(),
            b'i' => format!("INDEX ({})", self.identity_columns.join(", ")),
            _ => "DEFAULT".to_owned(),
        }
    }

    /// A short text that another shape, or the same shape of another table, does not have: what a user accepts.
    pub fn fingerprint(&self, oid: u32) -> String {
        // FNV-1a: the same in every version, and nobody gains by a collision.
        let text = Told { shape: self.clone(), at: (0, 0), of: None }.to_offset();
        let text = format!("{oid} {}", serde_json::Value::Object(text));
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{hash:016x}")
    }
}

#[cfg(test)]
mod tests;
