//! The four modes, and what their offsets stand for.

use super::world::{AIVEN, ids, row};
use crate::server::Server;
use levada_connector_api::testkit::Offsets;
use serde_json::{Value as Json, json};

fn partition(table: &str) -> serde_json::Map<String, Json> {
    json!({"protocol": "1", "table": table}).as_object().unwrap().clone()
}

fn stored(offsets: &Offsets, table: &str) -> Json {
    offsets.get(&partition(table)).map_or(Json::Null, Json::Object)
}

const INCREMENTING: [(&str, &str); 2] = [("mode", "incrementing"), ("table.whitelist", "t")];
const TIMESTAMP: [(&str, &str); 3] = [("mode", "timestamp"), ("table.whitelist", "t"), ("timestamp.column.name", "at")];

#[test]
fn bulk_reads_everything_again_and_again() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text); INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 30) i");
    let offsets = Offsets::default();
    let mut run = server.query(&[("mode", "bulk"), ("table.whitelist", "t"), ("batch.max.rows", "7")], &offsets);
    let mut records = Vec::new();
    while records.len() < 60 {
        let batch = run.poll().unwrap();
        assert!(batch.len() <= 7, "no more rows in a poll than batch.max.rows");
        records.extend(batch);
    }
    assert_eq!(ids(&records[..30]), (1..=30).collect::<Vec<_>>());
    assert_eq!(ids(&records[30..60]), (1..=30).collect::<Vec<_>>());
    assert_eq!(&*records[0].topic, "p-t");
    assert_eq!(records[0].value_schema.as_ref().unwrap().name.as_deref(), Some("t"));
    assert!(records[0].key.is_null() && records[0].key_schema.is_none());
    run.commit().unwrap();
    assert!(offsets.is_empty(), "there is no offset to go on at");
    run.stop();
}

#[test]
fn incrementing_goes_on_behind_the_last_row_over_restarts() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL)");
    server.sql("INSERT INTO t VALUES (-5, 'below zero'); INSERT INTO t (name) SELECT 'x' FROM generate_series(1, 9)");
    let offsets = Offsets::default();
    let mut run = server.query(&INCREMENTING, &offsets);
    let records = run.take(10).unwrap();
    assert_eq!(ids(&records), [-5, 1, 2, 3, 4, 5, 6, 7, 8, 9], "the serial column is found");
    run.poll_until(|run| run.pending.last().is_some_and(|last| last.offset["incrementing"] == 9));
    run.commit().unwrap();
    assert_eq!(stored(&offsets, "public.t"), json!({"incrementing": 9}));
    server.sql("INSERT INTO t (name) VALUES ('next'); UPDATE t SET name = 'changed' WHERE id = 1");
    assert_eq!(ids(&run.take(1).unwrap()), [10], "an update is not seen in this mode");
    run.stop();
    let mut run = server.query(&INCREMENTING, &offsets);
    assert_eq!(ids(&run.take(1).unwrap()), [10], "what was not committed comes again, and nothing else");
    run.expect_nothing();
    run.stop();
}

#[test]
fn rows_of_one_time_are_not_cut_apart() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL)");
    // Ten rows for each of three times, and batches of four.
    server.sql("INSERT INTO t SELECT i, timestamp '2024-02-29 10:00:00.000001' + (i / 10) * interval '1 microsecond' FROM generate_series(0, 29) i");
    let offsets = Offsets::default();
    let keys = [TIMESTAMP[0], TIMESTAMP[1], TIMESTAMP[2], ("batch.max.rows", "4")];
    let mut seen = std::collections::BTreeSet::new();
    for batches in (1..=4).cycle().take(40) {
        // Each time a task that ends after some batches, wherever that is.
        let mut run = server.query(&keys, &offsets);
        let mut left = batches;
        while left > 0 {
            let records = run.poll().unwrap();
            left -= i32::from(!records.is_empty() || !run.pending.is_empty());
            seen.extend(ids(&records));
        }
        run.commit().unwrap();
        run.stop();
        let offset = stored(&offsets, "public.t");
        let Some(nanos) = offset["timestamp_nanos"].as_i64() else { continue };
        // Every row up to the offset was handed over: each time has ten.
        assert!((0..10 * (nanos / 1000)).all(|id| seen.contains(&id)), "{offset} and {seen:?}");
        assert_eq!(offset["timestamp"], 1_709_200_800_000_i64);
        if nanos == 3000 {
            return;
        }
    }
    panic!("the end was never reached: {}", stored(&offsets, "public.t"));
}

#[test]
fn a_timestamp_of_many_rows_is_read_whole_over_a_restart() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL)");
    server.sql("INSERT INTO t SELECT i, '2024-02-29 10:00+00' FROM generate_series(1, 25) i");
    let offsets = Offsets::default();
    let keys = [TIMESTAMP[0], TIMESTAMP[1], TIMESTAMP[2], ("batch.max.rows", "10")];
    let mut run = server.query(&keys, &offsets);
    let first = run.take(10).unwrap();
    run.commit().unwrap();
    assert!(stored(&offsets, "public.t").is_null(), "no offset within the rows of one time");
    run.stop();
    let mut run = server.query(&keys, &offsets);
    let again = run.take(25).unwrap();
    run.poll_until(|run| !run.pending.is_empty());
    run.commit().unwrap();
    assert_eq!(ids(&again)[..10], ids(&first)[..]);
    assert_eq!(stored(&offsets, "public.t"), json!({"timestamp": 1_709_200_800_000_i64, "timestamp_nanos": 0}));
    run.expect_nothing();
    run.stop();
}

#[test]
fn timestamps_see_new_and_changed_rows_and_the_first_that_is_not_null() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, changed timestamp, created timestamp NOT NULL DEFAULT now())");
    server.sql("INSERT INTO t VALUES (1, NULL, '1969-12-31 23:00'), (2, '2024-01-01', '0044-03-15 BC'), (3, NULL, '-infinity')");
    let offsets = Offsets::default();
    let keys = [("mode", "timestamp"), ("table.whitelist", "public.t"), ("timestamp.column.name", "CHANGED,created")];
    let mut run = server.query(&keys, &offsets);
    assert_eq!(ids(&run.take(3).unwrap()), [3, 1, 2], "rows before 1970 too, in order of their time");
    server.sql("UPDATE t SET changed = now() WHERE id = 1");
    server.sql("INSERT INTO t (id) VALUES (4)");
    assert_eq!(ids(&run.take(2).unwrap()), [1, 4]);
    run.expect_nothing();
    run.stop();
}

#[test]
fn both_columns_tell_rows_of_one_time_apart() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id bigserial PRIMARY KEY, at timestamptz NOT NULL)");
    server.sql("INSERT INTO t (at) SELECT '2024-02-29 10:00:00.123456+00' FROM generate_series(1, 25)");
    let offsets = Offsets::default();
    let keys = [
        ("mode", "timestamp+incrementing"),
        ("table.whitelist", "t"),
        ("timestamp.column.name", "at"),
        ("incrementing.column.name", "id"),
        ("batch.max.rows", "10"),
    ];
    let mut run = server.query(&keys, &offsets);
    assert_eq!(ids(&run.take(10).unwrap()), (1..=10).collect::<Vec<_>>());
    run.commit().unwrap();
    let offset = stored(&offsets, "public.t");
    let text = offset.to_string();
    assert_eq!(text, r#"{"timestamp_nanos":123456000,"incrementing":10,"timestamp":1709200800123}"#);
    run.stop();
    let mut run = server.query(&keys, &offsets);
    assert_eq!(ids(&run.take(15).unwrap()), (11..=25).collect::<Vec<_>>());
    server.sql("UPDATE t SET at = now() WHERE id = 2");
    assert_eq!(ids(&run.take(1).unwrap()), [2]);
    run.stop();
}

#[test]
fn stored_offsets_of_the_java_connectors_go_on() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)");
    for old in [
        json!({"protocol": "1", "table": "public.t"}),
        json!({"protocol": "1", "table": "d.public.t"}),
        json!({"table": "t"}),
    ] {
        let offsets = Offsets::default();
        let position = json!({"incrementing": 3}).as_object().unwrap().clone();
        offsets.set(old.as_object().unwrap(), position);
        let keys = [INCREMENTING[0], INCREMENTING[1], ("incrementing.column.name", "id")];
        let mut run = server.query(&keys, &offsets);
        assert_eq!(ids(&run.take(2).unwrap()), [4, 5], "{old}");
        run.stop();
    }
}

#[test]
fn the_beginning_can_be_chosen_and_is_kept() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL)");
    server.sql("INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-03'), (3, '2024-01-05')");
    let offsets = Offsets::default();
    let initial = ("timestamp.initial", "1704240000000");
    let mut run = server.query(&[TIMESTAMP[0], TIMESTAMP[1], TIMESTAMP[2], initial], &offsets);
    assert_eq!(ids(&run.take(1).unwrap()), [3], "behind 2024-01-03");
    run.stop();
    // Now is stored before any row, so that the next start does not begin at another now.
    let offsets = Offsets::default();
    let keys = [TIMESTAMP[0], TIMESTAMP[1], TIMESTAMP[2], ("timestamp.initial", "-1")];
    let mut run = server.query(&keys, &offsets);
    run.poll_until(|run| !run.pending.is_empty());
    run.commit().unwrap();
    run.stop();
    server.sql("INSERT INTO t VALUES (4, now() AT TIME ZONE 'UTC')");
    let mut run = server.query(&keys, &offsets);
    assert_eq!(ids(&run.take(1).unwrap()), [4]);
    run.stop();
    let keys = [INCREMENTING[0], INCREMENTING[1], ("incrementing.column.name", "id"), ("incrementing.initial", "2")];
    let mut run = server.query_of(AIVEN, &keys, &Offsets::default());
    assert_eq!(ids(&run.take(2).unwrap()), [3, 4]);
    run.stop();
}

#[test]
fn times_without_a_zone_are_of_the_zone_that_is_given() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL, tz timestamptz)");
    server.sql("INSERT INTO t VALUES (1, '2024-02-29 10:34:56.789', '2024-02-29 10:34:56.789+00')");
    let offsets = Offsets::default();
    let keys = [TIMESTAMP[0], TIMESTAMP[1], TIMESTAMP[2], ("db.timezone", "America/New_York")];
    let mut run = server.query(&keys, &offsets);
    let records = run.take(1).unwrap();
    assert_eq!(
        row(&records[0]),
        json!({"id": 1, "at": 1_709_220_896_789_i64, "tz": 1_709_202_896_789_i64}),
        "five hours later in UTC"
    );
    run.poll_until(|run| !run.pending.is_empty());
    run.commit().unwrap();
    assert_eq!(stored(&offsets, "public.t")["timestamp"], 1_709_220_896_789_i64);
    run.expect_nothing();
    server.sql("INSERT INTO t VALUES (2, now() AT TIME ZONE 'America/New_York', now())");
    assert_eq!(ids(&run.take(1).unwrap()), [2], "and the clock is compared in it");
    run.stop();
}
