//! Shapes of announcements, and what differs between them.

use super::*;
use crate::{
    catalog::{CatalogColumn, TableId, TableInfo},
    config::CaptureConfig,
    datatype::TypeRegistry,
    filter::Filters,
    pgoutput::{Relation, RelationColumn},
};
use levada_connector_api::{Config, ConnectorConfig};

const INT: u32 = 23;
const TEXT: u32 = 25;

fn filters() -> Filters {
    Filters::new(&CaptureConfig::parse(&Config::from_iter([("topic.prefix".to_owned(), "p".to_owned())])).unwrap())
}

fn relation(columns: &[(&str, u32)]) -> Relation {
    let column = |(name, type_oid): &(&str, u32)| RelationColumn {
        in_identity: *name == "id",
        name: (*name).to_owned(),
        type_oid: *type_oid,
        modifier: -1,
    };
    Relation {
        oid: 5,
        schema: "public".to_owned(),
        name: "t".to_owned(),
        identity: b'd',
        columns: columns.iter().map(column).collect(),
    }
}

fn catalog(columns: &[(i16, &str, u32)]) -> TableInfo {
    let column = |(number, name, type_oid): &(i16, &str, u32)| CatalogColumn {
        name: (*name).to_owned(),
        number: *number,
        type_oid: *type_oid,
        modifier: -1,
        type_text: String::new(),
        not_null: false,
        default: None,
        counts: false,
        generated: false,
        stored: false,
    };
    TableInfo {
        oid: 5,
        id: TableId { schema: "public".to_owned(), name: "t".to_owned() },
        kind: b'r',
        replica: b'd',
        pages: 0,
        rows: 0.0,
        file: 1,
        columns: columns.iter().map(column).collect(),
        primary: vec!["id".to_owned()],
        identity: Vec::new(),
        unique: Vec::new(),
    }
}

fn shape(columns: &[(&str, u32)], info: Option<&TableInfo>, before: Option<&Shape>) -> Shape {
    shape_of(&relation(columns), info, before, &TypeRegistry::default(), &filters())
}

fn texts(before: &Shape, after: &Shape) -> Vec<String> {
    diff(before, after).iter().map(ToString::to_string).collect()
}

#[test]
fn a_renamed_column_is_told_from_a_dropped_and_an_added_one_by_its_number() {
    let before = shape(&[("id", INT), ("a", TEXT)], Some(&catalog(&[(1, "id", INT), (2, "a", TEXT)])), None);
    assert_eq!(texts(&before, &before), [""; 0]);
    let renamed = catalog(&[(1, "id", INT), (2, "b", TEXT)]);
    let after = shape(&[("id", INT), ("b", TEXT)], Some(&renamed), Some(&before));
    assert_eq!(texts(&before, &after), ["column a was renamed to b"]);
    let other = catalog(&[(1, "id", INT), (3, "b", TEXT)]);
    let after = shape(&[("id", INT), ("b", TEXT)], Some(&other), Some(&before));
    assert_eq!(texts(&before, &after), ["column a (25) was dropped", "column b (25) was added"]);
    let again = catalog(&[(1, "id", INT), (3, "a", TEXT)]);
    let after = shape(&[("id", INT), ("a", TEXT)], Some(&again), Some(&before));
    assert_eq!(texts(&before, &after), ["column a (25) was dropped", "column a (25) was added"]);
    // The key's column, renamed, is the same key.
    let key = TableInfo { primary: vec!["no".to_owned()], ..catalog(&[(1, "no", INT), (2, "a", TEXT)]) };
    let mut told = relation(&[("no", INT), ("a", TEXT)]);
    told.columns[0].in_identity = true;
    let after = shape_of(&told, Some(&key), Some(&before), &TypeRegistry::default(), &filters());
    assert_eq!(texts(&before, &after), ["column id was renamed to no"]);
}

#[test]
fn an_announcement_that_is_older_than_the_catalog_is_understood() {
    let before = shape(&[("id", INT), ("a", TEXT)], Some(&catalog(&[(1, "id", INT), (2, "a", TEXT)])), None);
    // a -> b -> c: the catalog knows c only.
    let later = catalog(&[(1, "id", INT), (2, "c", TEXT)]);
    let between = shape(&[("id", INT), ("b", TEXT)], Some(&later), Some(&before));
    assert_eq!(texts(&before, &between), ["column a was renamed to b"]);
    let last = shape(&[("id", INT), ("c", TEXT)], Some(&later), Some(&between));
    assert_eq!(texts(&between, &last), ["column b was renamed to c"]);
    // Two columns that changed their names for each other's.
    let two = catalog(&[(1, "id", INT), (2, "a", TEXT), (3, "b", TEXT)]);
    let before = shape(&[("id", INT), ("a", TEXT), ("b", TEXT)], Some(&two), None);
    let swapped = catalog(&[(1, "id", INT), (2, "b", TEXT), (3, "a", TEXT)]);
    let old = shape(&[("id", INT), ("a", TEXT), ("b", TEXT)], Some(&swapped), Some(&before));
    assert_eq!(texts(&before, &old), [""; 0], "the announcement is of before");
    let after = shape(&[("id", INT), ("b", TEXT), ("a", TEXT)], Some(&swapped), Some(&before));
    assert_eq!(texts(&before, &after), ["column a was renamed to b", "column b was renamed to a"]);
    // A table that is gone by now.
    let added = shape(&[("id", INT), ("a", TEXT), ("b", TEXT), ("c", INT)], None, Some(&before));
    assert_eq!(texts(&before, &added), ["column c (23) was added"]);
    let dropped = shape(&[("id", INT), ("b", TEXT), ("c", INT)], None, Some(&added));
    assert_eq!(texts(&added, &dropped), ["column a (25) was dropped"]);
}

#[test]
fn what_breaks_readers_is_told_apart() {
    let info = catalog(&[(1, "id", INT), (2, "a", TEXT)]);
    let before = shape(&[("id", INT), ("a", TEXT)], Some(&info), None);
    let changed = |change: &dyn Fn(&mut TableInfo)| {
        let mut info = info.clone();
        change(&mut info);
        let after = shape(&[("id", INT), ("a", TEXT)], Some(&info), Some(&before));
        (diff(&before, &after), diff(&after, &before))
    };
    let (stricter, laxer) = changed(&|info| info.columns[1].not_null = true);
    assert_eq!(stricter[0].to_string(), "column a was NULL and is NOT NULL");
    assert!(!stricter[0].breaks() && laxer[0].breaks());
    let (default, _) = changed(&|info| info.columns[1].default = Some("'x'::text".to_owned()));
    assert_eq!(default[0].to_string(), "the default of column a changed from none to 'x'::text");
    assert!(!default[0].breaks());
    let mut full = relation(&[("id", INT), ("a", INT)]);
    full.identity = b'f';
    full.name = "u".to_owned();
    let without = TableInfo { primary: Vec::new(), ..catalog(&[(1, "id", INT), (2, "a", INT)]) };
    let after = shape_of(&full, Some(&without), Some(&before), &TypeRegistry::default(), &filters());
    let kinds: Vec<_> = diff(&before, &after).iter().map(|change| (change.kind.name(), change.breaks())).collect();
    let expected = [
        ("TABLE_RENAMED", true),
        ("TYPE_CHANGED", true),
        ("PRIMARY_KEY_CHANGED", true),
        ("REPLICA_IDENTITY_CHANGED", false),
    ];
    assert_eq!(kinds, expected);
}
