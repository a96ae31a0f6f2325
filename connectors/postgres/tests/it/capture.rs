//! Changes as events.

use crate::{
    json::{changes, event, hex, json},
    server::Server,
};
use levada_connector_api::{
    Value,
    testkit::{Offsets, SourceRun},
};
use serde_json::json;

const TABLE: &str = "CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'x', n int);";

#[test]
fn changes_come_as_debeziums_events() {
    let server = Server::start();
    server.sql(TABLE);
    let offsets = Offsets::default();
    let mut run = server.source(&[("snapshot.mode", "no_data")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t (name, n) VALUES ('a', 1)");
    server.sql("UPDATE t SET n = 2 WHERE id = 1");
    server.sql("UPDATE t SET id = 10 WHERE id = 1");
    server.sql("DELETE FROM t WHERE id = 10");
    let records = run.take(7).unwrap();
    let row = |id: i32, n: i32| json!({"id": id, "name": "a", "n": n});
    let old = |id: i32| json!({"id": id, "name": "x", "n": null});
    assert_eq!(
        changes(&records),
        [
            json!(["c", row(1, 1)]),
            json!(["u", row(1, 2)]),
            json!(["d", old(1)]),
            json!(["tombstone", {"id": 1}]),
            json!(["c", row(10, 2)]),
            json!(["d", old(10)]),
            json!(["tombstone", {"id": 10}]),
        ]
    );
    let first = event(&records[0]);
    assert_eq!((&first["topic"], &first["key"]), (&json!("p.public.t"), &json!({"id": 1})));
    let source = &first["value"]["source"];
    for (field, expected) in [
        ("connector", json!("postgresql")),
        ("name", json!("p")),
        ("snapshot", json!("false")),
        ("db", json!("d")),
        ("schema", json!("public")),
        ("table", json!("t")),
        ("xmin", json!(null)),
    ] {
        assert_eq!(source[field], expected, "{field}");
    }
    let lsn = source["lsn"].as_i64().unwrap();
    assert_eq!(source["sequence"], json!(format!("[null,\"{lsn}\"]")));
    assert_eq!(source["ts_us"].as_i64().unwrap() / 1000, source["ts_ms"].as_i64().unwrap());
    let header = |record: usize, name: &str| {
        let found = records[record].headers.iter().find(|header| header.key == *name);
        found.map(|header| json(&header.value))
    };
    assert_eq!(header(2, "__debezium.newkey"), Some(json!({"id": 10})));
    assert_eq!(header(3, "__debezium.newkey"), Some(json!({"id": 10})));
    assert_eq!(header(4, "__debezium.oldkey"), Some(json!({"id": 1})));
    assert_eq!(header(0, "__debezium.context.connectorName"), Some(json!("postgresql")));
    let schema = records[0].value_schema.as_ref().unwrap();
    assert_eq!(schema.name.as_deref(), Some("p.public.t.Envelope"));
    let value = &schema.field("after").unwrap().1.schema;
    assert!(value.optional && value.name.as_deref() == Some("p.public.t.Value"));
    assert_eq!(value.field("id").unwrap().1.schema.default, Some(Value::Int32(0)), "a serial's default");
    assert_eq!(value.field("name").unwrap().1.schema.default, Some(Value::string("x")));
    run.stop();
}

/// Waits until the source has made its slot: what is written then is streamed.
pub fn wait_for_slot(server: &Server, run: &mut SourceRun) {
    let active = "SELECT count(*) FROM pg_replication_slots WHERE active";
    let records = run.poll_until(|_| server.sql(active) == "1");
    assert!(records.is_empty(), "{records:?}");
}

#[test]
fn identities_toast_and_ddl_are_followed() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE f (id int PRIMARY KEY, a int, big text); ALTER TABLE f REPLICA IDENTITY FULL;
         ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
         CREATE TABLE s (id int PRIMARY KEY, a int, big text, bytes bytea); ALTER TABLE s ALTER big SET STORAGE EXTERNAL;
         ALTER TABLE s ALTER bytes SET STORAGE EXTERNAL;
         CREATE TABLE k (a int, b int NOT NULL); CREATE UNIQUE INDEX k_b ON k (b);
         ALTER TABLE k REPLICA IDENTITY USING INDEX k_b;",
    );
    let offsets = Offsets::default();
    let mut run = server.source(&[("snapshot.mode", "no_data")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO f VALUES (1, 1, repeat('x', 10000))");
    server.sql("UPDATE f SET a = 2");
    server.sql("INSERT INTO s VALUES (1, 1, repeat('x', 10000), decode(repeat('00', 10000), 'hex'))");
    server.sql("UPDATE s SET a = 2");
    server.sql("INSERT INTO k VALUES (1, 5)");
    server.sql("ALTER TABLE s ADD COLUMN extra int NOT NULL DEFAULT 7");
    server.sql("UPDATE s SET a = 3");
    server.sql("ALTER TABLE s DROP COLUMN bytes");
    server.sql("INSERT INTO s VALUES (2, 1, 'small')");
    let records = run.take(7).unwrap();
    let full = json(&records[1].value);
    assert_eq!(full["before"]["a"], 1);
    assert_eq!(full["after"]["big"].as_str().unwrap().len(), 10_000, "taken from the old row");
    let short = json(&records[3].value);
    assert_eq!(short["before"], json!(null));
    assert_eq!(short["after"]["big"], "__debezium_unavailable_value");
    let placeholder = hex(b"__debezium_unavailable_value");
    assert_eq!(short["after"]["bytes"], placeholder);
    assert_eq!(json(&records[4].key), json!({"b": 5}));
    assert_eq!(json(&records[5].value)["after"]["extra"], 7);
    assert_eq!(json(&records[6].value)["after"], json!({"id": 2, "a": 1, "big": "small", "extra": 7}));
    run.stop();
}

#[test]
fn the_index_that_identifies_rows_makes_the_key_everywhere() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE a (id int PRIMARY KEY, email text NOT NULL UNIQUE);
         ALTER TABLE a REPLICA IDENTITY USING INDEX a_email_key; INSERT INTO a VALUES (1, 'x')",
    );
    let mut run = server.source(&[], &Offsets::default());
    let mut records = run.take(1).unwrap();
    server.sql("INSERT INTO a VALUES (2, 'y')");
    server.sql("UPDATE a SET id = 3 WHERE id = 2");
    server.sql("DELETE FROM a WHERE id = 1");
    records.extend(run.take(4).unwrap());
    let keys: Vec<_> = records.iter().map(|record| json(&record.key)).collect();
    let key = |email: &str| json!({"email": email});
    assert_eq!(keys, [key("x"), key("y"), key("y"), key("x"), key("x")]);
    run.stop();
}

#[test]
fn transactions_truncates_and_messages_have_their_records() {
    let server = Server::start();
    server.sql(TABLE);
    let offsets = Offsets::default();
    let keys = [
        ("snapshot.mode", "no_data"),
        ("provide.transaction.metadata", "true"),
        ("skipped.operations", "none"),
        ("message.prefix.exclude.list", "secret.*"),
    ];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t (n) VALUES (1), (2); SELECT pg_logical_emit_message(true, 'note', 'hi'); TRUNCATE t");
    server.sql("SELECT pg_logical_emit_message(false, 'note', 'alone'); SELECT pg_logical_emit_message(false, 'secret.x', 'no')");
    let records = run.take(7).unwrap();
    let topics: Vec<_> = records.iter().map(|record| record.topic.as_ref()).collect();
    let expected =
        ["p.transaction", "p.public.t", "p.public.t", "p.message", "p.public.t", "p.transaction", "p.message"];
    assert_eq!(topics, expected);
    let values: Vec<_> = records.iter().map(|record| json(&record.value)).collect();
    assert_eq!(values[0]["status"], "BEGIN");
    let xid = values[0]["id"].as_str().unwrap().split(':').next().unwrap().to_owned();
    let second = &values[2];
    assert_eq!(
        (&second["transaction"]["total_order"], &second["transaction"]["data_collection_order"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(second["transaction"]["id"], json!(format!("{xid}:{}", second["source"]["lsn"])));
    assert_eq!((&values[3]["op"], &values[3]["message"]["prefix"]), (&json!("m"), &json!("note")));
    assert_eq!(values[3]["message"]["content"], "\\x6869");
    assert_eq!((&values[4]["op"], &values[4]["after"]), (&json!("t"), &json!(null)));
    assert_eq!((&values[5]["status"], &values[5]["event_count"]), (&json!("END"), &json!(4)));
    let collections = json!([
        {"data_collection": "public.t", "event_count": 3},
        {"data_collection": "LOGICAL_DECODING_MESSAGE", "event_count": 1},
    ]);
    assert_eq!(values[5]["data_collections"], collections);
    assert_eq!(values[6]["transaction"], json!(null));
    assert_eq!(values[6]["source"]["txId"], json!(null));
    run.stop();
}

#[test]
fn filters_masks_and_keys_are_obeyed() {
    let server = Server::start();
    server.sql(
        "CREATE SCHEMA other; CREATE TABLE other.t (id int PRIMARY KEY);
         CREATE TABLE t (id int PRIMARY KEY, secret text, code varchar(4), gone int, b int);",
    );
    let offsets = Offsets::default();
    let keys = [
        ("snapshot.mode", "no_data"),
        ("publication.autocreate.mode", "filtered"),
        ("table.include.list", "public.t"),
        ("column.exclude.list", "public.t.gone"),
        ("column.mask.with.3.chars", "public.t.secret"),
        ("column.mask.hash.v2.SHA-256.with.salt.s", "public.t.code"),
        ("message.key.columns", "public.t:b,gone"),
        ("skipped.operations", "u"),
        ("tombstones.on.delete", "false"),
        ("extended.headers.enabled", "false"),
    ];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO other.t VALUES (1)");
    server.sql("INSERT INTO t VALUES (1, 'password', 'abc', 5, 6)");
    server.sql("UPDATE t SET b = 7");
    server.sql("DELETE FROM t");
    let records = run.take(2).unwrap();
    let value = json(&records[0].value);
    assert_eq!(value["after"], json!({"id": 1, "secret": "***", "code": "cf0b", "b": 6}));
    assert_eq!(json(&records[0].key), json!({"b": 6, "gone": 5}));
    assert!(records[0].headers.is_empty());
    assert_eq!(server.sql("SELECT string_agg(tablename, ',') FROM pg_publication_tables"), "t");
    run.stop();
}

#[test]
fn elements_of_unknown_types_are_told_one_by_one_and_types_by_their_name() {
    let server = Server::start();
    server.sql(
        "CREATE DOMAIN price AS numeric(8,2); CREATE TYPE pair AS (a int, b text); \
         CREATE TABLE u (id int PRIMARY KEY, pr price[], co pair[], one pair, iv interval(3), n numeric(5,1), bo box[])",
    );
    let keys = [
        ("snapshot.mode", "no_data"),
        ("include.unknown.datatypes", "true"),
        ("binary.handling.mode", "hex"),
        ("datatype.propagate.source.type", r"public\.u\.(interval|_pair),public\.u\.pair"),
    ];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO u VALUES (1, '{1.25,NULL}', ARRAY[(1, 'a,b'), NULL]::pair[], (2, 'c'), '1 s', 1, '{(1,1),(0,0);(2,2),(1,1)}')");
    let records = run.take(1).unwrap();
    let after = &json(&records[0].value)["after"];
    assert_eq!(after["pr"], json!(["312e3235", null]));
    assert_eq!(after["co"], json!(["28312c22612c622229", null]), "(1,\"a,b\")");
    assert_eq!(after["one"], "28322c6329", "(2,c)");
    assert_eq!(after["bo"], json!(["28312c31292c28302c3029", "28322c32292c28312c3129"]), "apart by semicolons");
    let schema = records[0].value_schema.as_ref().unwrap().field("after").unwrap().1.schema.clone();
    let told = |column: &str, what: &str| {
        let column = &schema.field(column).unwrap().1.schema;
        column.parameters.get(&format!("__debezium.source.column.{what}")).cloned()
    };
    let type_and_scale = |column| told(column, "type").zip(told(column, "scale"));
    let some = |name: &str, scale: &str| Some((name.to_owned(), scale.to_owned()));
    assert_eq!(type_and_scale("iv"), some("INTERVAL", "3"));
    assert_eq!((type_and_scale("co"), type_and_scale("one")), (some("_PAIR", "0"), some("PAIR", "0")));
    assert_eq!((type_and_scale("pr"), type_and_scale("n")), (None, None));
    run.stop();
}

#[test]
fn skipped_operations_go_by_what_is_sent() {
    let server = Server::start();
    server.sql(TABLE);
    let offsets = Offsets::default();
    let keys = [("snapshot.mode", "no_data"), ("skipped.operations", "u,t"), ("column.propagate.source.type", ".*")];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t (n) VALUES (1)");
    server.sql("UPDATE t SET n = 2");
    server.sql("UPDATE t SET id = 9; TRUNCATE t");
    let records = run.take(4).unwrap();
    let operations: Vec<_> = changes(&records).iter().map(|change| change[0].as_str().unwrap().to_owned()).collect();
    assert_eq!(operations, ["c", "d", "tombstone", "c"], "a changed key is a deletion and a new row");
    let schema = records[0].value_schema.as_ref().unwrap();
    let name = &schema.field("after").unwrap().1.schema.field("n").unwrap().1.schema;
    assert_eq!(name.parameters["__debezium.source.column.type"], "INT4");
    assert_eq!(name.parameters["__debezium.source.column.length"], "10");
    let key = records[0].key_schema.as_ref().unwrap();
    assert!(key.fields[0].schema.parameters.is_empty(), "keys stay without");
    run.stop();
}
