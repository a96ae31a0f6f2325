//! Weird identifiers: quotes, letters of every case and script, the longest there are.

use super::world::{Class, int, record, structure};
use crate::server::Server;
use levada_connector_api::{ErrorKind, Schema, SchemaType, Value, testkit::GroupOffsets};
use std::sync::Arc;

#[test]
fn weird_names_are_quoted() {
    let server = Server::start();
    let long: &'static str = Box::leak("ü".repeat(31).into_boxed_str());
    let names = ["select", "we\"ird", "Ünïcode 漢字", "a.b", " space", "quote'", "back\\slash", "$1", long];
    let fields: Vec<_> =
        names.iter().map(|name| (*name, Schema::new(SchemaType::Int32).optional(), Value::Int32(1))).collect();
    let keys = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("auto.create", "true"),
        ("auto.evolve", "true"),
        ("table.name.format", "public.\"Ta\"\".ble ${topic}\""),
    ];
    let mut sink = server.sink(Class::Confluent, &keys);
    let one = record(0, &[("K \"ey", Schema::new(SchemaType::Int32), Value::Int32(1))], &fields[..4]);
    sink.put(&[one]).unwrap();
    let all: Vec<_> = (0..600)
        .map(|id| record(id, &[("K \"ey", Schema::new(SchemaType::Int32), Value::Int32(id as i32))], &fields))
        .collect();
    sink.put(&all).unwrap();
    sink.stop();
    let table = "\"Ta\"\".ble t\"";
    assert_eq!(
        server.sql(&format!("SELECT count(*), sum(\"we\"\"ird\"), sum(\"{long}\"), max(\"K \"\"ey\") FROM {table}")),
        "600|600|600|599"
    );
}

#[test]
fn names_that_would_be_cut_are_refused() {
    let server = Server::start();
    let long: &'static str = Box::leak("x".repeat(64).into_boxed_str());
    let mut sink = server.sink(Class::Confluent, &[("auto.create", "true")]);
    let error = sink.put(&[record(0, &[], &[int(long, 1)])]).unwrap_err().to_string();
    assert!(error.contains("64 bytes") && error.contains("ReplaceField"), "{error}");
    let mut far = record(1, &[], &[int("a", 1)]);
    far.topic = "p.public.t".into();
    let error = sink.put(&[far]).unwrap_err().to_string();
    assert!(error.contains("table.name.format") && error.contains("RegexRouter"), "{error}");
    sink.stop();
}

#[test]
fn case_is_kept_or_folded_as_the_key_says() {
    let server = Server::start();
    server.sql("CREATE TABLE \"Mixed\" (\"Id\" int PRIMARY KEY, name text, \"NAME\" text); CREATE TABLE folded (id int, name text)");
    let value = |fields: &[super::world::Given]| record(0, &[], fields);
    let mut sink = server.sink(Class::Confluent, &[("table.name.format", "mixed")]);
    sink.put(&[value(&[int("ID", 1), super::world::text("name", "n")])]).unwrap();
    let error = sink.put(&[value(&[int("id", 2), super::world::text("Name", "n")])]).unwrap_err().to_string();
    assert!(error.contains("several that differ in case: name, NAME"), "{error}");
    sink.stop();
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ') FROM \"Mixed\" t"), "(1,n,)");
    let mut sink = server.sink(Class::Debezium, &[("collection.name.format", "FOLDED")]);
    sink.put(&[value(&[int("ID", 3), super::world::text("Name", "n")])]).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ') FROM folded t"), "(3,n)");
    server.sql("CREATE TABLE \"Ünïx\" (id int)");
    for (id, name) in [(4, "Ünïx"), (5, "üNÏX")] {
        let mut sink = server.sink(Class::Confluent, &[("table.name.format", name)]);
        sink.put(&[value(&[int("id", id)])]).unwrap();
        sink.stop();
    }
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ') FROM \"Ünïx\" t"), "(4) (5)");
}

#[test]
fn the_source_block_names_tables_in_schemas() {
    let server = Server::start();
    server.sql("CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s1.a (id int); CREATE TABLE s2.b (id int)");
    let event = |offset: i64, schema: &str, table: &str| {
        let text = |text: &str| (Schema::new(SchemaType::String), Value::string(text));
        let (row_schema, row) = structure(&[int("id", offset as i32)]);
        let ((s, schema), (t, table), (o, op)) = (text(schema), text(table), text("c"));
        let (source_schema, source) = structure(&[("schema", s, schema), ("table", t, table)]);
        let take = |schema: Option<Arc<Schema>>| (*schema.unwrap()).clone();
        record(offset, &[], &[("after", take(row_schema), row), ("source", take(source_schema), source), ("op", o, op)])
    };
    server.sql("CREATE TABLE s1.\"c.d\" (id int)");
    let mut sink = server.sink(Class::Debezium, &[("collection.name.format", "${source.schema}.${source.table}")]);
    sink.put(&[event(0, "s1", "c.d")]).unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM s1.\"c.d\""), "1", "a dot of a name is none between names");
    // A tombstone does not say whose it is.
    let tombstone = record(4, &[int("id", 1)], &[]);
    sink.put(&[event(1, "s1", "a"), event(2, "s2", "b"), event(3, "s1", "a"), tombstone]).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT (SELECT sum(id) FROM s1.a), (SELECT sum(id) FROM s2.b)"), "4|2");
}

#[test]
fn a_variable_that_stands_for_nothing_is_refused() {
    let server = Server::start();
    for (class, key) in [(Class::Debezium, "collection.name.format"), (Class::Aiven, "table.name.format")] {
        let keys = [(key, "x_${nosuch}")];
        let Err(error) = server.sink_of(class, &keys, &GroupOffsets::new()) else { panic!("{key} is taken") };
        let text = error.to_string();
        assert_eq!(error.kind, ErrorKind::Config, "{text}");
        assert!([key, "${nosuch}", "${topic}", "${source.table}"].iter().all(|part| text.contains(part)), "{text}");
    }
}
