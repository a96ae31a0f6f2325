//! Values that events lack, read from their tables.

use crate::{capture::wait_for_slot, json::json, server::Server};
use levada_connector_api::{SourceConnector as _, testkit::Offsets};
use levada_connector_postgres::PostgresSource;
use serde_json::{Value as Json, json};

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");
const NAME: (&str, &str) = ("post.processors", "again");
const TYPE: (&str, &str) = ("again.type", "io.debezium.processors.reselect.ReselectColumnsPostProcessor");
const MARKER: &str = "__debezium_unavailable_value";

fn after(record: &levada_connector_api::SourceRecord) -> Json {
    json(&record.value)["after"].clone()
}

#[test]
fn large_values_that_did_not_change_are_read_also_behind_a_changed_key() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (a text, b numeric, n int, big text, bytes bytea, j jsonb, PRIMARY KEY (a, b));
         ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER bytes SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL;",
    );
    let offsets = Offsets::default();
    let keys = [NO_DATA, NAME, TYPE, ("again.reselect.columns.include.list", "public.t:(big|bytes|j)")];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    // Tabs, backslashes and quotes, in values and in keys.
    server.sql(
        r"INSERT INTO t SELECT E'it''s \\ ' || i, i, 0, repeat(E'x\t\\\n', 3000), decode(repeat('00ff', 5000), 'hex'),
          to_jsonb(repeat('j', 9000)) FROM generate_series(1, 300) i",
    );
    server.sql("UPDATE t SET n = 1");
    server.sql("UPDATE t SET b = b + 1000 WHERE b = 7");
    server.sql("UPDATE t SET n = 2, big = 'short' WHERE b = 8");
    server.sql("DELETE FROM t WHERE b = 9");
    let records = run.take(300 + 300 + 3 + 1 + 2).unwrap();
    let whole = after(&records[0]);
    for (index, record) in records[300..600].iter().enumerate() {
        let row = after(record);
        // What happened since is in it: the table is read as it is now.
        match index + 1 {
            7 | 9 => assert_eq!(row["big"], MARKER, "there is no such row any more"),
            8 => assert_eq!(row["big"], "short"),
            _ => assert_eq!((&row["big"], &row["bytes"], &row["j"]), (&whole["big"], &whole["bytes"], &whole["j"])),
        }
    }
    let moved = after(&records[602]);
    assert_eq!((&moved["big"], &moved["bytes"], &moved["n"]), (&whole["big"], &whole["bytes"], &json!(1)));
    let shortened = after(&records[603]);
    assert_eq!((&shortened["big"], &shortened["bytes"]), (&json!("short"), &whole["bytes"]));
    run.stop();
}

#[test]
fn nulls_masks_and_other_columns_are_as_the_keys_say() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int, m text, secret text, other text); ALTER TABLE t ALTER secret SET STORAGE EXTERNAL;
         ALTER TABLE t ALTER other SET STORAGE EXTERNAL",
    );
    let offsets = Offsets::default();
    let keys = [
        NO_DATA,
        NAME,
        TYPE,
        ("again.reselect.columns.exclude.list", "public.t:(other|m)"),
        ("column.truncate.to.5.chars", "public.t.secret"),
    ];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    // One transaction, so that the table has the last state when the first event is made.
    server
        .sql("INSERT INTO t VALUES (1, NULL, NULL, repeat('s', 9000), repeat('o', 9000)); UPDATE t SET n = 5, m = 'm'");
    let records = run.take(2).unwrap();
    assert_eq!((&after(&records[0])["n"], &after(&records[0])["m"]), (&json!(5), &json!(null)));
    let row = after(&records[1]);
    assert_eq!((&row["secret"], &row["other"]), (&json!("sssss"), &json!(MARKER)), "hidden as ever, and left out");
    run.stop();
    let keys =
        [NO_DATA, NAME, TYPE, ("again.reselect.null.values", "false"), ("slot.name", "two"), ("topic.prefix", "q")];
    let mut run = server.source(&keys, &offsets);
    run.poll_until(|_| {
        server.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'two' AND active") == "1"
    });
    server.sql("INSERT INTO t VALUES (2); UPDATE t SET n = 1 WHERE id = 2");
    assert_eq!(after(&run.take(2).unwrap()[0])["n"], json!(null));
    run.stop();
}

#[test]
fn the_event_s_key_finds_rows_of_tables_without_one_and_failures_are_handled_as_asked() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int, n int, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; CREATE UNIQUE INDEX ON t ((id + 0));
         ALTER TABLE t REPLICA IDENTITY NOTHING",
    );
    let offsets = Offsets::default();
    let key = ("message.key.columns", "public.t:id");
    let event_key = ("again.reselect.use.event.key", "true");
    let mut run = server.source(&[NO_DATA, NAME, TYPE, key, event_key], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql(
        "INSERT INTO t VALUES (1, NULL, repeat('x', 9000)); ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 5",
    );
    let records = run.take(2).unwrap();
    assert_eq!(after(&records[0])["n"], 5);
    run.commit().unwrap();
    // A table that is called otherwise by now: told, and the event comes as it is.
    server.sql("INSERT INTO t VALUES (2, NULL, 'x'); ALTER TABLE t RENAME TO u");
    assert_eq!(after(&run.take(1).unwrap()[0])["n"], json!(null));
    let warnings = run.context.warnings();
    assert!(warnings.iter().any(|text| text.contains("public.t can't be read anew")), "{warnings:?}");
    run.commit().unwrap();
    run.stop();
    let keys = [
        NO_DATA,
        NAME,
        TYPE,
        ("again.reselect.error.handling.mode", "fail"),
        ("message.key.columns", "public.u:id"),
        event_key,
    ];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO u VALUES (3, NULL, 'x'); ALTER TABLE u RENAME TO v");
    let error = run.take_error();
    assert!(error.message.contains("public.u can't be read anew"), "{error}");
    run.stop();
}

#[test]
fn values_past_the_memory_of_a_batch_go_ahead_in_order() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, n int, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
    server.sql("INSERT INTO t SELECT i, 0, repeat('x', 1000000 + i) FROM generate_series(1, 40) i");
    let offsets = Offsets::default();
    let mut run = server.source(&[NO_DATA, NAME, TYPE, ("max.queue.size.in.bytes", "8000000")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("UPDATE t SET n = id");
    let mut most = 0;
    let mut records = Vec::new();
    while records.len() < 40 {
        let polled = run.poll().unwrap();
        most = most.max(polled.len());
        records.extend(polled);
    }
    for (index, record) in records.iter().enumerate() {
        let row = after(record);
        assert_eq!(row["id"], index + 1);
        assert_eq!(row["big"].as_str().unwrap().len(), 1_000_001 + index);
    }
    assert!(most < 10, "{most} records of 1 MB at once");
    run.stop();
}

#[test]
fn what_is_no_reselector_is_refused_by_validation() {
    let server = Server::start();
    let config = server.config(&[NAME, ("again.type", "com.example.Other")]);
    let errors = PostgresSource::default().info().config_def.check(&config).unwrap_err();
    assert!(errors.to_string().contains("again.type must be"), "{errors}");
}
