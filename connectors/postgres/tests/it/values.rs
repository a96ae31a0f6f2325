//! The type table: the same values by snapshot and by stream.

use crate::{capture::wait_for_slot, json::json, server::Server};
use levada_connector_api::{SourceRecord, testkit::Offsets};
use serde_json::{Value as Json, json};

/// Column, type, SQL value, schema's name or type, and JSON in the default modes.
fn table() -> Vec<(&'static str, &'static str, &'static str, Json)> {
    vec![
        ("b", "boolean", "true", json!(true)),
        ("bit1", "bit(1)", "B'1'", json!(true)),
        ("bits", "bit(10)", "B'1000000001'", json!("\\x0102")),
        ("vb", "varbit(5)", "B'101'", json!("\\x05")),
        ("i2", "smallint", "-5", json!(-5)),
        ("i4", "integer", "2147483647", json!(2_147_483_647)),
        ("i8", "bigint", "-9223372036854775808", json!(i64::MIN)),
        ("o", "oid", "4294967295", json!(4_294_967_295_i64)),
        ("r", "real", "1.5", json!(1.5)),
        ("dp", "double precision", "'NaN'", json!("NaN")),
        ("num", "numeric(10,2)", "12.34", json!("\\x04d2")),
        ("vnum", "numeric", "-1.500", json!({"scale": 1, "value": "\\xf1"})),
        ("m", "money", "'1234.56'", json!("\\x01e240")),
        ("c", "char(5)", "'ab'", json!("ab   ")),
        ("t", "text", "E'tab\\tand \\\\ and ü'", json!("tab\tand \\ and ü")),
        ("by", "bytea", "'\\x00ff5c'", json!("\\x00ff5c")),
        ("j", "jsonb", "'{\"a\": 1}'", json!("{\"a\": 1}")),
        ("x", "xml", "'<a/>'", json!("<a/>")),
        ("u", "uuid", "'76019d1a-ad2e-4b22-96e9-1a6d6543c818'", json!("76019d1a-ad2e-4b22-96e9-1a6d6543c818")),
        ("mood", "mood", "'it''s fine'", json!("it's fine")),
        ("ip", "inet", "'10.0.0.1/8'", json!("10.0.0.1/8")),
        ("rng", "int4range", "'[1,5)'", json!("[1,5)")),
        ("iv", "interval", "'1 year 2 months 3 days 04:05:06.000007'", json!(37_091_106_000_007_i64)),
        ("da", "date", "'2024-02-29'", json!(19_782)),
        ("bc", "date", "'0044-03-15 BC'", json!(-735_160)),
        ("inf", "timestamp", "'infinity'", json!(9_223_372_036_825_200_000_i64)),
        ("ti3", "time(3)", "'10:34:56.789'", json!(38_096_789)),
        ("ti", "time", "'24:00:00'", json!(86_400_000_000_i64)),
        ("tz", "timetz", "'12:34:56+02'", json!("10:34:56Z")),
        ("ts3", "timestamp(3)", "'2024-02-29 10:34:56.789'", json!(1_709_202_896_789_i64)),
        ("ts", "timestamp", "'2024-02-29 10:34:56.123456'", json!(1_709_202_896_123_456_i64)),
        ("tstz", "timestamptz", "'2024-02-29 10:34:56.1+00'", json!("2024-02-29T10:34:56.100000Z")),
        (
            "p",
            "point",
            "'(1,2)'",
            json!({"x": 1.0, "y": 2.0, "wkb": "\\x0101000000000000000000f03f0000000000000040", "srid": null}),
        ),
        ("ai", "int[]", "'{1,NULL,3}'", json!([1, null, 3])),
        ("at", "text[]", "ARRAY['a,b','q\"','NULL']", json!(["a,b", "q\"", "NULL"])),
        ("an", "numeric(5,1)[]", "'{1.5}'", json!(["\\x0f"])),
        ("am", "mood[]", "'{sad}'", json!(["sad"])),
        ("d", "price", "5.5", json!("\\x0226")),
        ("tsv", "tsvector", "'a b'", json!("'a' 'b'")),
        ("nothing", "text", "NULL", json!(null)),
    ]
}

fn fill(server: &Server) {
    server.sql("CREATE TYPE mood AS ENUM ('sad', 'it''s fine'); CREATE DOMAIN price AS numeric(8,2); CREATE TYPE pair AS (a int, b int)");
    let columns: Vec<_> = table().iter().map(|(name, kind, ..)| format!("{name} {kind}")).collect();
    server.sql(&format!("CREATE TABLE v (id int PRIMARY KEY, {}, comp pair, circ circle)", columns.join(", ")));
}

fn insert(server: &Server, id: i32) {
    let values: Vec<_> = table().iter().map(|(_, _, value, _)| (*value).to_owned()).collect();
    server.sql(&format!("INSERT INTO v VALUES ({id}, {}, '(1,2)', '<(0,0),1>')", values.join(", ")));
}

fn after(record: &SourceRecord) -> Json {
    json(&record.value)["after"].clone()
}

#[test]
fn every_type_has_its_value_in_snapshot_and_stream() {
    let server = Server::start();
    fill(&server);
    insert(&server, 1);
    let offsets = Offsets::default();
    let mut run = server.source(&[], &offsets);
    let snapshot = run.take(1).unwrap().remove(0);
    insert(&server, 2);
    let stream = run.take(1).unwrap().remove(0);
    let (read, streamed) = (after(&snapshot), after(&stream));
    for (name, _, _, expected) in table() {
        assert_eq!(read[name], expected, "{name} by snapshot");
        assert_eq!(streamed[name], expected, "{name} by stream");
    }
    assert!(read.get("comp").is_none() && read.get("circ").is_none(), "types without a form are left out");
    assert_eq!(snapshot.value_schema, stream.value_schema, "one schema for both");
    let schema = &stream.value_schema.as_ref().unwrap().field("after").unwrap().1.schema;
    let field = |name: &str| std::sync::Arc::clone(&schema.field(name).unwrap().1.schema);
    assert_eq!(field("mood").parameters["allowed"], "sad,it's fine");
    assert_eq!(field("num").parameters["scale"], "2");
    assert_eq!(field("num").parameters["connect.decimal.precision"], "10");
    assert_eq!(field("bits").parameters["length"], "10");
    assert_eq!(field("d").name.as_deref(), Some("org.apache.kafka.connect.data.Decimal"));
    assert_eq!(field("ts").name.as_deref(), Some("io.debezium.time.MicroTimestamp"));
    run.stop();
}

#[test]
fn the_modes_change_the_forms() {
    let server = Server::start();
    fill(&server);
    let offsets = Offsets::default();
    let keys = [
        ("snapshot.mode", "no_data"),
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "connect"),
        ("binary.handling.mode", "base64"),
        ("interval.handling.mode", "string"),
        ("include.unknown.datatypes", "true"),
    ];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    insert(&server, 1);
    let row = after(&run.take(1).unwrap().remove(0));
    for (name, expected) in [
        ("num", json!("12.34")),
        ("vnum", json!("-1.500")),
        ("m", json!("1234.56")),
        ("by", json!("AP9c")),
        ("iv", json!("P1Y2M3DT4H5M6.000007S")),
        ("da", json!(19_782)),
        ("ti", json!(86_400_000)),
        ("ts", json!(1_709_202_896_123_i64)),
        ("comp", json!("KDEsMik=")),
        ("circ", json!("PCgwLDApLDE+")),
    ] {
        assert_eq!(row[name], expected, "{name}");
    }
    run.stop();
}
