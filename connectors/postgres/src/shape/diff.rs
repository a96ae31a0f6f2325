//! What differs between two shapes of a table.

use super::{Shape, ShapeColumn};
use std::fmt;

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The table has another name or schema.
    TableRenamed,
    /// A column is gone.
    ColumnDropped,
    /// A column has another name.
    ColumnRenamed,
    /// A column has another type, length or scale.
    TypeChanged,
    /// A column is NOT NULL now, or no longer.
    NullabilityChanged,
    /// A column has another default.
    DefaultChanged,
    /// A column is new.
    ColumnAdded,
    /// The primary key is of other columns.
    PrimaryKeyChanged,
    /// Old rows are told apart by something else.
    ReplicaIdentityChanged,
}

impl ChangeKind {
    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::TableRenamed => "TABLE_RENAMED",
            Self::ColumnDropped => "COLUMN_DROPPED",
            Self::ColumnRenamed => "COLUMN_RENAMED",
            Self::TypeChanged => "TYPE_CHANGED",
            Self::NullabilityChanged => "NULLABILITY_CHANGED",
            Self::DefaultChanged => "DEFAULT_CHANGED",
            Self::ColumnAdded => "COLUMN_ADDED",
            Self::PrimaryKeyChanged => "PRIMARY_KEY_CHANGED",
            Self::ReplicaIdentityChanged => "REPLICA_IDENTITY_CHANGED",
        }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Kind.
    pub kind: ChangeKind,
    /// The column by its name now, or by its last one.
    pub column: Option<String>,
    /// What was.
    pub from: Option<String>,
    /// What is.
    pub to: Option<String>,
}

impl Change {
    fn of(kind: ChangeKind, column: Option<&str>, from: Option<String>, to: Option<String>) -> Self {
        Self { kind, column: column.map(str::to_owned), from, to }
    }

    /// Whether somebody who reads by the shape before may be unable to read on. A new column, another default, a column
    /// that can no longer be null and another replica identity break nobody.
    pub fn breaks(&self) -> bool {
        match self.kind {
            ChangeKind::ColumnAdded | ChangeKind::DefaultChanged | ChangeKind::ReplicaIdentityChanged => false,
            ChangeKind::NullabilityChanged => self.to.as_deref() == Some("NULL"),
            _ => true,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column.as_deref().unwrap_or_default();
        let (from, to) = (self.from.as_deref().unwrap_or("none"), self.to.as_deref().unwrap_or("none"));
        match self.kind {
            ChangeKind::TableRenamed => write!(f, "the table was renamed from {from}"),
            ChangeKind::ColumnDropped => write!(f, "column {column} ({from}) was dropped"),
            ChangeKind::ColumnRenamed => write!(f, "column {from} was renamed to {to}"),
            ChangeKind::TypeChanged => write!(f, "the type of column {column} changed from {from} to {to}"),
            ChangeKind::NullabilityChanged => write!(f, "column {column} was {from} and is {to}"),
            ChangeKind::DefaultChanged => write!(f, "the default of column {column} changed from {from} to {to}"),
            ChangeKind::ColumnAdded => write!(f, "column {column} ({to}) was added"),
            ChangeKind::PrimaryKeyChanged => write!(f, "the primary key changed from ({from}) to ({to})"),
            ChangeKind::ReplicaIdentityChanged => write!(f, "the replica identity changed from {from} to {to}"),
        }
    }
}

/// What `after` has that `before` had not, and the other way round: empty when they are the same.
pub fn diff(before: &Shape, after: &Shape) -> Vec<Change> {
    use ChangeKind::{ColumnAdded, ColumnDropped, PrimaryKeyChanged, ReplicaIdentityChanged, TableRenamed};
    let mut changes = Vec::new();
    if before.table() != after.table() {
        changes.push(Change::of(TableRenamed, None, Some(before.table()), Some(after.table())));
    }
    let pairs: Vec<_> = after.columns.iter().map(|column| (before_of(column, before, after), column)).collect();
    let kept = |column: &ShapeColumn| pairs.iter().any(|(old, _)| old.is_some_and(|old| std::ptr::eq(old, column)));
    for dropped in before.columns.iter().filter(|column| !kept(column)) {
        changes.push(Change::of(ColumnDropped, Some(&dropped.name), Some(dropped.type_text()), None));
    }
    for (old, new) in &pairs {
        if let Some(old) = old {
            column(old, new, &mut changes);
        }
    }
    for (_, new) in pairs.iter().filter(|(old, _)| old.is_none()) {
        changes.push(Change::of(ColumnAdded, Some(&new.name), None, Some(new.type_text())));
    }
    // A column that is only called otherwise is the same one in the key.
    let now_called = |name: &String| {
        let pair = pairs.iter().find(|(old, _)| old.is_some_and(|old| old.name == *name));
        pair.map_or_else(|| name.clone(), |(_, new)| new.name.clone())
    };
    if before.key.iter().map(now_called).ne(after.key.iter().cloned()) {
        let (from, to) = (before.key.join(", "), after.key.join(", "));
        changes.push(Change::of(PrimaryKeyChanged, None, Some(from), Some(to)));
    }
    let same_columns = before.identity_columns.iter().map(now_called).eq(after.identity_columns.iter().cloned());
    if before.identity != after.identity || !same_columns {
        let (from, to) = (before.identity_text(), after.identity_text());
        changes.push(Change::of(ReplicaIdentityChanged, None, Some(from), Some(to)));
    }
    changes
}

/// The column before: by its number where both are known, else by its name.
fn before_of<'a>(column: &ShapeColumn, before: &'a Shape, after: &Shape) -> Option<&'a ShapeColumn> {
    let by_name = |old: &&ShapeColumn| old.name == column.name;
    let Some(number) = column.number() else {
        let taken = |old: &&ShapeColumn| {
            old.number().is_some_and(|number| after.columns.iter().any(|column| column.number() == Some(number)))
        };
        return before.columns.iter().find(|old| by_name(old) && !taken(old));
    };
    let by_number = before.columns.iter().find(|old| old.number() == Some(number));
    by_number.or_else(|| before.columns.iter().find(|old| by_name(old) && old.number().is_none()))
}

fn column(old: &ShapeColumn, new: &ShapeColumn, changes: &mut Vec<Change>) {
    use ChangeKind::{ColumnRenamed, DefaultChanged, NullabilityChanged, TypeChanged};
    let name = Some(new.name.as_str());
    if old.name != new.name {
        changes.push(Change::of(ColumnRenamed, name, Some(old.name.clone()), Some(new.name.clone())));
    }
    if (old.type_oid, old.modifier) != (new.type_oid, new.modifier) {
        changes.push(Change::of(TypeChanged, name, Some(old.type_text()), Some(new.type_text())));
    }
    let (Some(old), Some(new)) = (&old.catalog, &new.catalog) else { return };
    if old.not_null != new.not_null {
        let text = |not_null: bool| Some(if not_null { "NOT NULL" } else { "NULL" }.to_owned());
        changes.push(Change::of(NullabilityChanged, name, text(old.not_null), text(new.not_null)));
    }
    if old.default != new.default {
        changes.push(Change::of(DefaultChanged, name, old.default.clone(), new.default.clone()));
    }
}
