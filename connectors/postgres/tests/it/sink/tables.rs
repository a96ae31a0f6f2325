//! Tables that are made and grown, generated columns, events of deletions and truncations.

use super::world::{Class, consumed, int, null, record, row, text};
use crate::{capture::wait_for_slot, server::Server};
use levada_connector_api::{Schema, SchemaType, Value, testkit::Offsets};

const MAKE: [(&str, &str); 4] =
    [("insert.mode", "upsert"), ("pk.mode", "record_key"), ("auto.create", "true"), ("auto.evolve", "true")];

fn columns(server: &Server, table: &str) -> String {
    server.sql(&format!(
        "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' !' ELSE '' END
         || coalesce(' =' || pg_get_expr(adbin, adrelid), ''), ', ' ORDER BY attnum)
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
         WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    ))
}

#[test]
fn tables_are_made_and_grow_by_columns_only() {
    let server = Server::start();
    let mut sink = server.sink(Class::Confluent, &MAKE);
    let mut count = Schema::new(SchemaType::Int64);
    count.default = Some(Value::Int64(7));
    let first =
        record(0, &[int("id", 1)], &[int("id", 1), text("name", "a"), ("count", count.clone(), Value::Int64(1))]);
    sink.put(&[first]).unwrap();
    assert_eq!(columns(&server, "t"), "id integer !, name text, count bigint ! ='7'::bigint");
    let mut flag = Schema::new(SchemaType::Boolean);
    flag.default = Some(Value::Boolean(true));
    let grown =
        [int("id", 2), text("nick", "n"), ("flag", flag, Value::Boolean(false)), ("count", count, Value::Int64(2))];
    // Old and new schemas in one batch.
    sink.put(&[row(1, 1, "b"), record(2, &[int("id", 2)], &grown), row(3, 3, "c")]).unwrap();
    assert_eq!(
        columns(&server, "t"),
        "id integer !, name text, count bigint ! ='7'::bigint, nick text, flag boolean ! =true"
    );
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ' ORDER BY id) FROM t"), "(1,b,1,,t) (2,,2,n,f) (3,c,7,,t)");
    let required = record(4, &[int("id", 4)], &[int("id", 4), int("needed", 1)]);
    let error = sink.put(&[required]).unwrap_err().to_string();
    assert!(error.contains("required without a default"), "{error}");
    let nested = Schema::map(Schema::new(SchemaType::String).into(), Schema::new(SchemaType::Int32).into()).optional();
    let map = Value::Map(vec![(Value::string("k"), Value::Int32(1))]);
    let nested = record(5, &[int("id", 5)], &[int("id", 5), ("m", nested, map)]);
    let error = sink.put(std::slice::from_ref(&nested)).unwrap_err().to_string();
    assert!(error.contains("nested.values=jsonb"), "{error}");
    sink.stop();
    let mut keys = MAKE.to_vec();
    keys.push(("nested.values", "jsonb"));
    let mut sink = server.sink(Class::Confluent, &keys);
    sink.put(&[nested]).unwrap();
    assert_eq!(server.sql("SELECT m FROM t WHERE id = 5"), "{\"k\": 1}");
    sink.stop();
}

#[test]
fn tasks_that_make_the_same_table_at_once_agree() {
    let server = std::sync::Arc::new(Server::start());
    let threads: Vec<_> = (0..4)
        .map(|task| {
            let server = std::sync::Arc::clone(&server);
            std::thread::spawn(move || {
                let mut sink = server.sink(Class::Confluent, &MAKE);
                sink.put(&[row(task, task as i32, "a")]).unwrap();
                sink.stop();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.sql("SELECT count(*) FROM t"), "4");
}

#[test]
fn what_the_server_computes_is_left_to_it() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text,
           upper text GENERATED ALWAYS AS (upper(name)) STORED)",
    );
    for count in [1, 500] {
        let mut sink = server.sink(Class::Confluent, &MAKE);
        let rows: Vec<_> = (0..count)
            .map(|id| {
                record(id, &[int("id", id as i32)], &[int("id", id as i32), text("name", "n"), text("upper", "other")])
            })
            .collect();
        sink.put(&rows).unwrap();
        sink.stop();
    }
    assert_eq!(server.sql("SELECT count(*), min(id), max(upper) FROM t"), "500|0|N");
}

#[test]
fn nulls_become_defaults_where_the_key_says_so() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let mut schema = Schema::new(SchemaType::String).optional();
    schema.default = Some(Value::string("d"));
    let record = |offset| record(offset, &[], &[int("id", offset as i32), ("name", schema.clone(), Value::Null)]);
    for (id, class, keys) in [
        (1, Class::Confluent, &[][..]),
        (2, Class::Confluent, &[("replace.null.with.default", "false")]),
        (3, Class::Aiven, &[]),
    ] {
        let mut sink = server.sink(class, keys);
        sink.put(&[record(id)]).unwrap();
        sink.stop();
    }
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ' ORDER BY id) FROM t"), "(1,d) (2,) (3,)");
}

#[test]
fn a_table_is_followed_by_its_change_events() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE v (id int PRIMARY KEY, a int, big text); ALTER TABLE v ALTER big SET STORAGE EXTERNAL;
         CREATE TABLE w (LIKE v INCLUDING ALL); INSERT INTO v VALUES (0, 0, 'snapshot')",
    );
    let keys = [("table.include.list", "public.v"), ("skipped.operations", "none")];
    let mut source = server.source(&keys, &Offsets::default());
    let mut records = source.take(1).unwrap();
    wait_for_slot(&server, &mut source);
    // The large value of a row whose key changes is in no event: the new key's row would be without it.
    server.sql(
        "INSERT INTO v SELECT g, g, repeat('x', CASE g WHEN 7 THEN 10 ELSE 10000 END) FROM generate_series(1, 20) g",
    );
    server.sql("UPDATE v SET a = a + 100; DELETE FROM v WHERE id % 5 = 0; UPDATE v SET id = id + 50 WHERE id = 7");
    // Deletions come with their tombstones; a changed key is a deletion and a new row.
    records.extend(source.take(20 + 21 + 5 * 2 + 3).unwrap());
    let sink_keys = [
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("delete.enabled", "true"),
        ("truncate.enabled", "true"),
        ("collection.name.format", "w"),
    ];
    let same = "SELECT count(*) FROM v FULL JOIN w USING (id) WHERE v IS DISTINCT FROM w";
    for piece in [1000, 3] {
        let mut sink = server.sink(Class::Debezium, &sink_keys);
        consumed(records.clone(), "t").chunks(piece).for_each(|piece| sink.put(piece).unwrap());
        assert_eq!(server.sql(same), "0", "in pieces of {piece}");
        assert_eq!(server.sql("SELECT count(*) FROM w"), "16");
        sink.stop();
        server.sql("TRUNCATE w");
    }
    server.sql("TRUNCATE v; INSERT INTO v VALUES (1, 2, 'after')");
    let more = source.take(2).unwrap();
    server.sql("INSERT INTO w VALUES (99, 0, 'stale')");
    let mut sink = server.sink(Class::Debezium, &sink_keys);
    sink.put(&consumed(more, "t")).unwrap();
    assert_eq!(server.sql(same), "0");
    sink.stop();
    source.stop();
}

#[test]
fn deletions_that_are_not_enabled_are_passed_over_or_refused() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a')");
    let gone = record(0, &[int("id", 1)], &[]);
    let mut sink = server.sink(Class::Debezium, &[("insert.mode", "upsert"), ("primary.key.mode", "record_key")]);
    sink.put(std::slice::from_ref(&gone)).unwrap();
    sink.stop();
    let mut sink = server.sink(Class::Aiven, &[("insert.mode", "upsert"), ("pk.mode", "record_key")]);
    assert!(sink.put(&[gone]).is_err());
    sink.put(&[record(1, &[int("id", 1)], &[int("id", 1), null("name")])]).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT t::text FROM t"), "(1,)");
}
