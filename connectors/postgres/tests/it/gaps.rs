//! What is missing is told, never passed over.

use crate::{
    capture::wait_for_slot,
    json::{changes, json as text},
    server::Server,
};
use levada_connector_api::{ErrorKind, testkit::Offsets};
use serde_json::json;

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");

#[test]
fn a_slot_that_is_gone_or_made_anew_fails_with_the_gap_and_the_mend() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let offsets = Offsets::default();
    let mut run = server.source(&[NO_DATA], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    run.take(1).unwrap();
    run.commit().unwrap();
    run.stop();
    server.drop_slot();
    server.sql("INSERT INTO t VALUES (2)");
    let mut run = server.source(&[NO_DATA], &offsets);
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Fatal);
    for words in ["debezium is gone", "bytes of log", "when_needed"] {
        assert!(error.message.contains(words), "{error}");
    }
    run.stop();
    server.sql("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')");
    let mut run = server.source(&[NO_DATA], &offsets);
    let error = run.take_error();
    assert!(error.message.contains("behind the stored position"), "{error}");
    run.stop();
    // The user says so: what is missing is left out, and told.
    let mut run = server.source(&[NO_DATA, ("offset.mismatch.strategy", "trust_slot")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (3)");
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 3}])]);
    assert!(run.context.warnings().iter().any(|text| text.contains("left out")), "{:?}", run.context.warnings());
    run.stop();
    // Or the tables are read anew.
    server.drop_slot();
    let mut run = server.source(&[("snapshot.mode", "when_needed")], &offsets);
    let rows = changes(&run.take(3).unwrap());
    assert_eq!(rows, [1, 2, 3].map(|id| json!(["r", {"id": id}])));
    run.stop();
}

#[test]
fn another_server_behind_the_address_is_noticed() {
    let first = Server::start();
    first.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let offsets = Offsets::default();
    let mut run = first.source(&[], &offsets);
    run.take(1).unwrap();
    run.commit().unwrap();
    run.stop();
    let second = Server::distinct();
    second.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut run = second.source(&[], &offsets);
    let error = run.take_error();
    assert!(error.message.contains("another server is behind this address"), "{error}");
    run.stop();
}

#[test]
fn a_lost_slot_is_told_with_its_reason() {
    let server =
        Server::with(&["max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB", "wal_keep_size=0"]);
    server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text)");
    let offsets = Offsets::default();
    let mut run = server.source(&[NO_DATA], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    run.take(1).unwrap();
    run.commit().unwrap();
    run.stop();
    for _ in 0..4 {
        server.sql("INSERT INTO t SELECT (random() * 2000000000)::int, repeat('x', 1000) FROM generate_series(1, 20000) ON CONFLICT DO NOTHING");
        server.sql("SELECT pg_switch_wal()");
        server.sql("CHECKPOINT");
    }
    assert_eq!(server.sql("SELECT wal_status FROM pg_replication_slots"), "lost");
    let mut run = server.source(&[NO_DATA], &offsets);
    let error = run.take_error();
    assert!(error.message.contains("max_slot_wal_keep_size"), "{error}");
    assert_eq!(error.kind, ErrorKind::Fatal);
    run.stop();
    // What the error names as the mend goes on, with another slot.
    let mut run = server.source(&[NO_DATA, ("offset.mismatch.strategy", "trust_slot")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (-1)");
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": -1, "pad": null}])]);
    run.stop();
}

#[test]
fn what_is_not_set_up_is_told_with_the_sql_to_run() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE lowly LOGIN REPLICATION; GRANT SELECT ON t TO lowly");
    let offsets = Offsets::default();
    let told = |keys: &[(&str, &str)]| {
        let mut run = server.source(keys, &offsets);
        let error = run.take_error();
        run.stop();
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
        error.message
    };
    let text = told(&[("publication.autocreate.mode", "disabled")]);
    assert!(text.contains("CREATE PUBLICATION"), "{text}");
    let text = told(&[("database.user", "lowly")]);
    assert!(text.contains("filtered"), "{text}");
    let text = told(&[("database.dbname", "nowhere")]);
    assert!(text.contains("nowhere"), "{text}");
    let text = told(&[("table.include.list", "public.none"), ("publication.autocreate.mode", "filtered")]);
    assert!(text.contains("table.include.list"), "{text}");
    let text = told(&[("database.sslmode", "require")]);
    assert!(text.contains("ssl=on"), "{text}");
}

#[test]
fn a_publication_that_was_dropped_or_made_anew_meanwhile_is_a_gap() {
    for (server, passes_over) in [(Server::start(), false), (Server::newer(&[]), true)] {
        server.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let offsets = Offsets::default();
        let mut run = server.source(&[NO_DATA], &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO t VALUES (1)");
        run.take(1).unwrap();
        run.commit().unwrap();
        run.stop();
        server.sql("DROP PUBLICATION dbz_publication");
        server.sql("INSERT INTO t VALUES (2)");
        let told = || {
            let mut run = server.source(&[NO_DATA], &offsets);
            let error = run.take_error();
            run.stop();
            assert_eq!(error.kind, ErrorKind::Fatal);
            for words in ["publication dbz_publication was dropped", "bytes of log", "when_needed"] {
                assert!(error.message.contains(words), "{error}");
            }
        };
        told();
        assert_eq!(server.sql("SELECT count(*) FROM pg_publication"), "0", "a try that fails makes none");
        server.sql("CREATE PUBLICATION dbz_publication FOR ALL TABLES");
        told();
        told();
        if passes_over {
            let mut run = server.source(&[NO_DATA, ("offset.mismatch.strategy", "trust_slot")], &offsets);
            wait_for_slot(&server, &mut run);
            server.sql("INSERT INTO t VALUES (3)");
            assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 3}])]);
            assert!(run.context.warnings().iter().any(|text| text.contains("left out")));
            run.commit().unwrap();
            run.stop();
            // Another one, while the one before is there still, is the user's choice.
            server.sql("CREATE PUBLICATION other FOR ALL TABLES");
            let mut run = server.source(&[NO_DATA, ("publication.name", "other")], &offsets);
            wait_for_slot(&server, &mut run);
            server.sql("INSERT INTO t VALUES (4)");
            assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 4}])]);
            run.commit().unwrap();
            run.stop();
            server.sql("DROP PUBLICATION dbz_publication, other; CREATE PUBLICATION dbz_publication FOR ALL TABLES");
        }
        let rows = server.sql("SELECT count(*) FROM t").parse().unwrap();
        let mut run = server.source(&[("snapshot.mode", "when_needed")], &offsets);
        let read = changes(&run.take(rows).unwrap());
        assert!(rows >= 2 && read.iter().all(|change| change[0] == "r"), "{read:?}");
        server.sql("INSERT INTO t VALUES (5)");
        assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 5}])]);
        run.stop();
    }
}

#[test]
fn what_was_told_and_read_of_another_server_is_told_and_read_anew() {
    let table = |columns: &str| {
        format!("CREATE TABLE t (id int PRIMARY KEY{columns}); INSERT INTO t (id) VALUES (1), (2), (3)")
    };
    let first = Server::start();
    // Its log is far ahead of the other's.
    for _ in 0..4 {
        first.sql("SELECT pg_logical_emit_message(false, 'p', ''); SELECT pg_switch_wal()");
    }
    first.sql(&table(""));
    let offsets = Offsets::default();
    let keys = [("snapshot.mode", "when_needed"), ("include.schema.changes", "true")];
    let mut run = first.source(&keys, &offsets);
    assert_eq!(run.take(4).unwrap().iter().filter(|record| *record.topic == *"p").count(), 1);
    wait_for_slot(&first, &mut run);
    run.commit().unwrap();
    run.stop();
    let partition = json!({"server": "p"}).as_object().unwrap().clone();
    let mut offset = offsets.get(&partition).unwrap();
    let asked = json!([{"table": "public.t", "filter": null}]);
    offset.insert(
        "levada_incremental".to_owned(),
        json!({"tables": asked, "last": ["2"], "most": ["2"], "paused": false, "read": 2, "done": 0}),
    );
    offsets.set(&partition, offset);
    let second = Server::distinct();
    second.sql(&table(", v int"));
    assert_eq!(first.sql("SELECT 't'::regclass::oid"), second.sql("SELECT 't'::regclass::oid"));
    let mut run = second.source(&keys, &offsets);
    let told = crate::ddl::all(&run.take(7).unwrap());
    let rows: Vec<_> = [1, 2, 3].map(|id| json!(["r", {"id": id, "v": null}])).into();
    assert_eq!(told[0], json!(["CREATE", "\"d\".\"public\".\"t\"", []]));
    assert_eq!(
        (&told[1..4], &told[4..]),
        (rows.as_slice(), rows.as_slice()),
        "the snapshot's, and the incremental one's"
    );
    second.sql("ALTER TABLE t RENAME COLUMN v TO w; INSERT INTO t VALUES (4, 4)");
    let told = crate::ddl::all(&run.take(2).unwrap());
    assert_eq!(told[0], json!(["ALTER", "\"d\".\"public\".\"t\"", ["COLUMN_RENAMED w v>w"]]));
    run.stop();
}

#[test]
fn a_table_that_was_taken_out_of_the_publication_meanwhile_is_a_gap_and_a_new_one_is_none() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    let offsets = Offsets::default();
    let filtered = ("publication.autocreate.mode", "filtered");
    let mut run = server.source(&[NO_DATA, filtered], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    run.take(1).unwrap();
    run.commit().unwrap();
    run.stop();
    server.sql("DROP TABLE u; CREATE TABLE new (id int PRIMARY KEY)");
    server.sql("ALTER PUBLICATION dbz_publication DROP TABLE t");
    server.sql("INSERT INTO t VALUES (2)");
    for _ in 0..2 {
        let mut run = server.source(&[NO_DATA, filtered], &offsets);
        let error = run.take_error();
        run.stop();
        assert_eq!(error.kind, ErrorKind::Fatal);
        for words in ["taken out of the publication", "\"public\".\"t\"", "table.exclude.list", "when_needed"] {
            assert!(error.message.contains(words), "{error}");
        }
        assert!(!error.message.contains("new\""), "{error}");
        assert_eq!(server.sql("SELECT count(*) FROM pg_publication_tables"), "0", "a try that fails adds none");
    }
    // The user says so: what is missing is left out, and told. The new table is added in silence, as ever.
    let trusting = ("offset.mismatch.strategy", "trust_slot");
    let mut run = server.source(&[NO_DATA, filtered, trusting], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (3); INSERT INTO new VALUES (4)");
    assert_eq!(changes(&run.take(2).unwrap()), [3, 4].map(|id| json!(["c", {"id": id}])));
    assert!(run.context.warnings().iter().any(|text| text.contains("left out")), "{:?}", run.context.warnings());
    run.commit().unwrap();
    run.stop();
    // Or the tables are read anew.
    server.sql("ALTER PUBLICATION dbz_publication DROP TABLE t; INSERT INTO t VALUES (5)");
    let mut run = server.source(&[("snapshot.mode", "when_needed"), filtered], &offsets);
    let read: Vec<_> = run.take(5).unwrap().iter().map(|record| text(&record.key)["id"].clone()).collect();
    assert_eq!(read, [4, 1, 2, 3, 5], "new, and t");
    run.stop();
}
