//! The shape of an announcement. It is of the time of the change and has no column numbers; the catalog has them and is of
//! now. What the two agree about is taken from the catalog, the rest from the shape that was known before.

use super::{CatalogPart, Shape, ShapeColumn};
use crate::{
    catalog::{CatalogColumn, TableInfo},
    datatype::TypeRegistry,
    filter::Filters,
    pgoutput::{Relation, RelationColumn},
};

/// The shape that `relation` announces; `info` is the catalog's present view of the table, `before` the shape before.
pub fn shape_of(
    relation: &Relation,
    info: Option<&TableInfo>,
    before: Option<&Shape>,
    types: &TypeRegistry,
    filters: &Filters,
) -> Shape {
    let parts = parts(&relation.columns, info, before);
    let column = |(column, catalog): (&RelationColumn, Option<CatalogPart>)| ShapeColumn {
        name: column.name.clone(),
        type_oid: column.type_oid,
        modifier: column.modifier,
        type_name: types.get(column.type_oid).map_or_else(|| column.type_oid.to_string(), |info| info.name.clone()),
        catalog,
    };
    let mut columns: Vec<_> = relation.columns.iter().zip(parts).map(column).collect();
    let key = key(relation, info, before);
    let announced = || relation.columns.iter().filter(|column| column.in_identity).map(|column| column.name.clone());
    columns
        .retain(|column| key.contains(&column.name) || filters.column(&relation.schema, &relation.name, &column.name));
    Shape {
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        identity: relation.identity,
        identity_columns: if relation.identity == b'i' { announced().collect() } else { Vec::new() },
        key,
        columns,
    }
}

/// The primary key. With the default identity the announcement has it, at its time; else the catalog must do.
fn key(relation: &Relation, info: Option<&TableInfo>, before: Option<&Shape>) -> Vec<String> {
    let catalog = info.map(|info| info.primary.as_slice()).unwrap_or_default();
    if relation.identity == b'd' {
        let announced = relation.columns.iter().filter(|column| column.in_identity).map(|column| column.name.clone());
        let announced: Vec<_> = announced.collect();
        let same = announced.len() == catalog.len() && announced.iter().all(|name| catalog.contains(name));
        // The catalog has them in the key's own order.
        return if same { catalog.to_vec() } else { announced };
    }
    let there = |name: &String| relation.columns.iter().any(|column| column.name == *name);
    if info.is_none() || !catalog.iter().all(there) {
        return before
            .map(|before| before.key.iter().filter(|name| there(name)).cloned().collect())
            .unwrap_or_default();
    }
    catalog.to_vec()
}

fn parts(columns: &[RelationColumn], info: Option<&TableInfo>, before: Option<&Shape>) -> Vec<Option<CatalogPart>> {
    let now = info.map(|info| info.columns.as_slice()).unwrap_or_default();
    let known = before.map(|before| before.columns.as_slice()).unwrap_or_default();
    let mut parts: Vec<_> = columns.iter().map(|column| of_catalog(column, now)).collect();
    if !ascending(&parts) {
        // Names changed places since: the catalog says nothing of this announcement.
        parts = vec![None; columns.len()];
    }
    for (column, part) in columns.iter().zip(&mut parts) {
        if part.is_none() {
            *part = known.iter().find(|known| known.name == column.name).and_then(|known| known.catalog.clone());
        }
    }
    if !ascending(&parts) {
        return vec![None; columns.len()];
    }
    renamed_since(columns, &mut parts, known);
    parts
}

fn of_catalog(column: &RelationColumn, now: &[CatalogColumn]) -> Option<CatalogPart> {
    let same = |now: &&CatalogColumn| {
        now.name == column.name && now.type_oid == column.type_oid && now.modifier == column.modifier
    };
    now.iter().find(same).map(|now| CatalogPart {
        number: now.number,
        not_null: now.not_null,
        default: now.default.clone(),
        counts: now.counts || now.default.as_deref().is_some_and(|default| default.starts_with("nextval(")),
    })
}

/// Columns come in the order of their numbers.
fn ascending(parts: &[Option<CatalogPart>]) -> bool {
    let numbers: Vec<_> = parts.iter().flatten().map(|part| part.number).collect();
    numbers.is_sorted_by(|a, b| a < b)
}

/// A name that neither side knows, where between its neighbours one of the known columns is missing that has its type:
/// that column was renamed, and once more since.
fn renamed_since(columns: &[RelationColumn], parts: &mut [Option<CatalogPart>], known: &[ShapeColumn]) {
    for index in 0..parts.len() {
        let Some(column) = columns.get(index).filter(|_| parts.get(index).is_some_and(Option::is_none)) else {
            continue;
        };
        let number = |part: &Option<CatalogPart>| part.as_ref().map(|part| part.number);
        let lower = parts.iter().take(index).filter_map(number).next_back().unwrap_or(0);
        let upper = parts.iter().skip(index).find_map(number).unwrap_or(i16::MAX);
        let missing = |known: &&ShapeColumn| {
            let between = known.number().is_some_and(|number| lower < number && number < upper);
            between && known.type_oid == column.type_oid && !columns.iter().any(|column| column.name == known.name)
        };
        let found = known.iter().find(missing).and_then(|known| known.catalog.clone());
        if let Some(part) = parts.get_mut(index) {
            *part = found;
        }
    }
}
