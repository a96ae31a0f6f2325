//! How rows are written: every mode, by few rows and by many.

use super::world::{Class, int, null, record, row, text, tombstone};
use crate::server::Server;
use levada_connector_api::{Schema, SchemaType, SinkRecord, Value, testkit::GroupOffsets};

const UPSERT: [(&str, &str); 3] = [("insert.mode", "upsert"), ("pk.mode", "record_key"), ("delete.enabled", "true")];

fn rows(server: &Server) -> String {
    server.sql("SELECT coalesce(string_agg(id || '=' || coalesce(name, 'null'), ' ' ORDER BY id, name), '') FROM t")
}

fn digest(server: &Server) -> String {
    server.sql("SELECT count(*) || ' ' || sum(id) || ' ' || md5(string_agg(id || name, ',' ORDER BY id)) FROM t")
}

#[test]
fn inserts_updates_upserts_and_deletes_do_what_they_say() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text, kept int DEFAULT 7)");
    let mut insert = server.sink(Class::Confluent, &[("pk.mode", "none")]);
    insert.put(&[row(0, 1, "a"), row(1, 2, "b")]).unwrap();
    insert.stop();
    assert_eq!(rows(&server), "1=a 2=b");
    let mut update = server.sink(Class::Aiven, &[("insert.mode", "update"), ("pk.mode", "record_key")]);
    update.put(&[row(0, 2, "c"), row(1, 3, "nobody")]).unwrap();
    update.stop();
    assert_eq!(rows(&server), "1=a 2=c", "a row that is not there is no error");
    let mut upsert = server.sink(Class::Confluent, &UPSERT);
    let nothing = record(3, &[int("id", 5)], &[int("id", 5), null("name")]);
    upsert.put(&[row(0, 2, "d"), row(1, 4, "e"), tombstone(2, 1), nothing]).unwrap();
    upsert.put(&[row(4, 4, "f"), tombstone(5, 4), row(6, 6, "g"), row(7, 6, "h")]).unwrap();
    assert_eq!(upsert.pre_commit().unwrap()[0].1, 8);
    upsert.stop();
    assert_eq!(rows(&server), "2=d 5=null 6=h");
    assert_eq!(server.sql("SELECT count(*) FROM t WHERE kept = 7"), "3", "columns that no record names are left alone");
}

#[test]
fn many_rows_give_what_few_give() {
    let server = Server::start();
    let name = |id: i32| format!("tab\tline\nback\\slash \"quote\" {{brace}}, ü {id}");
    let all: Vec<SinkRecord> = (0..3000).map(|id| row(i64::from(id), id, &name(id))).collect();
    let mut digests = Vec::new();
    for pieces in [3000, 100, 1] {
        server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, name text)");
        let count = if pieces == 1 { 300 } else { 3000 };
        let mut insert = server.sink(Class::Confluent, &[]);
        all[..count].chunks(pieces).for_each(|piece| insert.put(piece).unwrap());
        insert.stop();
        if pieces == 1 {
            server.sql("DELETE FROM t");
        }
        let mut upsert = server.sink(Class::Confluent, &UPSERT);
        for piece in all[..count].chunks(pieces) {
            let changed: Vec<_> = piece
                .iter()
                .map(|old| {
                    let Value::Struct(key) = &old.key else { panic!() };
                    let Value::Int32(id) = key.values[0] else { panic!() };
                    if id % 3 == 0 {
                        tombstone(old.offset, id)
                    } else {
                        row(old.offset, id, &format!("{} new", name(id)))
                    }
                })
                .collect();
            upsert.put(&changed).unwrap();
        }
        upsert.stop();
        digests.push(digest(&server));
    }
    assert_eq!(digests[0], digests[1]);
    assert!(digests[0].starts_with("2000 "), "{}", digests[0]);
    assert!(digests[2].starts_with("200 "), "{}", digests[2]);
    let mut update = server.sink(Class::Confluent, &[("insert.mode", "update"), ("pk.mode", "record_key")]);
    update.put(&all).unwrap();
    update.stop();
    assert_eq!(server.sql("SELECT count(*), bool_and(name NOT LIKE '%new') FROM t"), "200|t");
}

#[test]
fn keys_come_from_where_the_mode_says() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE k (__connect_topic text, __connect_partition int, __connect_offset bigint, id int, name text,
           PRIMARY KEY (__connect_topic, __connect_partition, __connect_offset));
         CREATE TABLE t (id int, name text PRIMARY KEY)",
    );
    let kafka = [("insert.mode", "upsert"), ("pk.mode", "kafka"), ("table.name.format", "k")];
    let mut sink = server.sink(Class::Confluent, &kafka);
    sink.put(&[row(0, 1, "a"), row(1, 1, "b")]).unwrap();
    sink.put(&[row(1, 1, "b")]).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT string_agg(k::text, ' ' ORDER BY k) FROM k"), "(t,0,0,1,a) (t,0,1,1,b)");
    let value = [("insert.mode", "upsert"), ("pk.mode", "record_value"), ("pk.fields", "name")];
    let mut sink = server.sink(Class::Confluent, &value);
    sink.put(&[row(0, 1, "a"), row(1, 2, "a")]).unwrap();
    sink.stop();
    assert_eq!(rows(&server), "2=a");
    let mut plain = record(0, &[], &[int("id", 9)]);
    plain.key_schema = Some(std::sync::Arc::new(Schema::new(SchemaType::String)));
    plain.key = Value::string("a");
    let key = [("insert.mode", "upsert"), ("primary.key.mode", "record_key"), ("primary.key.fields", "name")];
    let mut sink = server.sink(Class::Debezium, &key);
    sink.put(&[plain]).unwrap();
    sink.stop();
    assert_eq!(rows(&server), "9=a");
    let mut headed = record(0, &[], &[int("id", 10)]);
    headed.headers.push(levada_connector_api::Header {
        key: "name".into(),
        schema: Some(std::sync::Arc::new(Schema::new(SchemaType::String))),
        value: Value::string("h"),
    });
    let header = [("insert.mode", "upsert"), ("primary.key.mode", "record_header"), ("primary.key.fields", "name")];
    let mut sink = server.sink(Class::Debezium, &header);
    sink.put(&[headed]).unwrap();
    sink.stop();
    assert_eq!(rows(&server), "9=a 10=h");
}

#[test]
fn fields_are_chosen_and_texts_have_a_column() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text, record_value text)");
    let mut sink = server.sink(Class::Confluent, &[("fields.whitelist", "name")]);
    sink.put(&[row(0, 1, "a")]).unwrap();
    let mut only = record(1, &[], &[]);
    only.value_schema = Some(std::sync::Arc::new(Schema::new(SchemaType::String)));
    only.value = Value::string("alone");
    sink.put(&[only]).unwrap();
    sink.stop();
    let mut sink = server.sink(Class::Debezium, &[("field.exclude.list", "t:name,other:id")]);
    sink.put(&[row(0, 2, "b")]).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM t"), "(,,alone) (,a,) (2,,)");
}

#[test]
fn what_is_not_asked_for_is_refused_with_the_mend() {
    let server = Server::start();
    let wrong = |class, keys: &[(&str, &str)], expected: &str| {
        let error = server.sink_of(class, keys, &GroupOffsets::new()).err().expect(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    wrong(Class::Confluent, &[("insert.mode", "upsert")], "set pk.mode to record_key");
    wrong(Class::Debezium, &[("delete.enabled", "true")], "set primary.key.mode to record_key");
    wrong(Class::Aiven, &[("insert.mode", "merge")], "String must be one of: insert, multi");
    wrong(Class::Confluent, &[("max.retries", "many")], "Invalid value many for configuration max.retries");
    let strategy = [("collection.naming.strategy", "io.debezium.connector.jdbc.naming.CustomCollectionNamingStrategy")];
    wrong(Class::Debezium, &strategy, "RegexRouter");
    wrong(Class::Confluent, &[("connection.url", "jdbc:mysql://h/d")], "only PostgreSQL");
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text)");
    let mut sink =
        server.sink(Class::Confluent, &[("batch.size", "7"), ("insert.mode", "upsert"), ("pk.mode", "record_key")]);
    assert!(sink.context.warnings()[0].contains("batch.size"), "{:?}", sink.context.warnings());
    let error = sink.put(&[tombstone(0, 1)]).unwrap_err().to_string();
    assert!(error.contains("delete.enabled=true"), "{error}");
    let mut schemaless = row(0, 1, "a");
    schemaless.value_schema = None;
    schemaless.value = Value::Map(vec![(Value::string("id"), Value::Int64(1))]);
    let error = sink.put(&[schemaless]).unwrap_err().to_string();
    assert!(error.contains("schemas.enable=true"), "{error}");
    let error = sink.put(&[record(0, &[int("id", 1)], &[int("id", 1), text("nick", "n")])]).unwrap_err().to_string();
    assert!(error.contains("no column nick; it has id, name") && error.contains("auto.evolve"), "{error}");
    let event = ["specversion", "id", "source", "type", "data"].map(|name| text(name, "x"));
    let error = sink.put(&[record(0, &[int("id", 1)], &event)]).unwrap_err().to_string();
    assert!(error.contains("CloudEvent"), "{error}");
    server.sql("ALTER TABLE t DROP CONSTRAINT t_pkey");
    let error = sink.put(&[row(0, 1, "a")]).unwrap_err().to_string();
    assert!(error.contains("42P10"), "{error}");
    sink.stop();
    let mut sink = server.sink(Class::Confluent, &[("table.name.format", "missing")]);
    let error = sink.put(&[row(0, 1, "a")]).unwrap_err().to_string();
    assert!(error.contains("auto.create") && error.contains("auto.evolve"), "{error}");
    sink.stop();
}

#[test]
fn listed_fields_are_timestamps_and_debeziums_default_names_are_taken() {
    let server = Server::start();
    let long = |name, value| (name, Schema::new(SchemaType::Int64).optional(), value);
    for (unit, count) in [("microseconds", 1_709_202_896_123_456_i64), ("nanoseconds", 1_709_202_896_123_456_789)] {
        let keys = [
            ("timestamp.fields.list", "at,text,iso,none,zoned"),
            ("timestamp.precision.mode", unit),
            ("db.timezone", "Europe/Berlin"),
            ("auto.create", "true"),
        ];
        server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id int, at timestamp, text timestamp, iso timestamp, none timestamp, zoned timestamptz)");
        let mut sink = server.sink(Class::Confluent, &keys);
        let fields = [
            int("id", 1),
            long("at", Value::Int64(count)),
            text("text", &count.to_string()),
            text("iso", "2024-02-29T10:34:56.123456Z"),
            long("none", Value::Null),
            long("zoned", Value::Int64(count)),
        ];
        sink.put(&[record(0, &[], &fields)]).unwrap();
        let clock = "2024-02-29 11:34:56.123456";
        assert_eq!(
            server.sql("SET timezone = 'UTC'; SELECT concat_ws('|', at, text, iso, none, zoned) FROM t"),
            format!("{clock}|{clock}|{clock}|2024-02-29 10:34:56.123456+00"),
            "{unit}"
        );
        server.sql("DROP TABLE t");
        sink.stop();
        let mut sink = server.sink(Class::Confluent, &keys);
        sink.put(&[record(1, &[], &fields)]).unwrap();
        let types = "SELECT string_agg(data_type, ',' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 't' AND column_name <> 'id'";
        assert_eq!(server.sql(types), ["timestamp without time zone"; 5].join(","));
        let error = sink.put(&[record(2, &[], &[int("id", 1), int("at", 5)])]).unwrap_err().to_string();
        assert!(error.contains("timestamp.fields.list takes int64 and string"), "{error}");
        sink.stop();
    }
    let names = [
        ("collection.naming.strategy", "io.debezium.sink.naming.DefaultCollectionNamingStrategy"),
        ("column.naming.strategy", "io.debezium.connector.jdbc.naming.DefaultColumnNamingStrategy"),
    ];
    server.sink(Class::Debezium, &names).stop();
}

#[test]
fn keys_that_only_the_server_takes_for_equal_stay_in_order() {
    let server = Server::start();
    server.sql(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE t (id text COLLATE loose PRIMARY KEY, name text)",
    );
    let keys = [("insert.mode", "upsert"), ("pk.mode", "record_key"), ("delete.enabled", "true")];
    let mut sink = server.sink(Class::Confluent, &keys);
    let key = |id: &str| [("id", Schema::new(SchemaType::String), Value::string(id))];
    let written = |offset, id: &str| record(offset, &key(id), &[key(id)[0].clone(), text("name", "x")]);
    let batch =
        [written(0, "A"), record(1, &key("a"), &[]), written(2, "B"), record(3, &key("b"), &[]), written(4, "b")];
    sink.put(&batch).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT string_agg(id, ' ') FROM t"), "b");
}
