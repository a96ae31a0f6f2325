//! Blocking snapshots: the stream stands still while tables are read.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{
    OffsetMap, SourceRecord, TaskSignal,
    testkit::{Offsets, SourceRun},
};
use std::collections::BTreeMap;

const KEYS: [(&str, &str); 4] = [
    ("snapshot.mode", "no_data"),
    ("signal.data.collection", "public.signals"),
    ("publication.autocreate.mode", "filtered"),
    ("table.include.list", "public.t,public.u,public.big"),
];
const SIGNALS: &str = "CREATE TABLE signals (id varchar PRIMARY KEY, type varchar NOT NULL, data varchar);";

fn partition() -> OffsetMap {
    serde_json::json!({"server": "p"}).as_object().unwrap().clone()
}

fn mark(record: &SourceRecord) -> String {
    json(&record.value)["source"]["snapshot"].as_str().unwrap().to_owned()
}

fn signal(tables: &str, filters: &str) -> String {
    format!(
        "INSERT INTO signals VALUES (gen_random_uuid(), 'execute-snapshot', \
         '{{\"type\": \"blocking\", \"data-collections\": [{tables}], \"additional-conditions\": [{filters}]}}')"
    )
}

/// The stored offset, when nothing of a snapshot is to be done any more.
fn wait_for_end(run: &mut SourceRun, offsets: &Offsets) {
    let going_on = || offsets.get(&partition()).is_none_or(|offset| offset.contains_key("levada_snapshot"));
    while going_on() {
        run.expect_nothing();
        run.commit().unwrap();
    }
}

#[test]
fn the_stream_stands_still_behind_the_signal_and_goes_on_behind_the_rows() {
    let server = Server::start();
    server.sql(&format!(
        "{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY, v int);
         INSERT INTO t SELECT i, 0 FROM generate_series(1, 3) i; INSERT INTO u SELECT i, 0 FROM generate_series(1, 9) i;
         CREATE SEQUENCE gate;"
    ));
    // The reading stands still until the gate opens.
    server.sql(
        "CREATE FUNCTION gate() RETURNS bool LANGUAGE plpgsql VOLATILE AS $$ BEGIN
           WHILE (SELECT last_value FROM gate) = 1 LOOP PERFORM pg_sleep(0.05); END LOOP;
           RETURN true;
         END $$",
    );
    // Who says nothing for so long is cut off.
    server.sql("ALTER SYSTEM SET wal_sender_timeout = '2s'");
    server.sql("SELECT pg_reload_conf()");
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    let holder = "SELECT active_pid FROM pg_replication_slots";
    let pid = server.sql(holder);
    server.sql(&format!(
        "BEGIN; INSERT INTO t VALUES (4, 0); {}; INSERT INTO t VALUES (5, 0); COMMIT",
        signal(
            "\"public.t\", \"public.u\"",
            r#"{"data-collection": "public.t", "filter": "gate()"}, {"data-collection": "public.u", "filter": "id > 7"}"#
        )
    ));
    let mut records = run.take(2).unwrap();
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%gate()%' AND state = 'active'";
    records.extend(run.poll_until(|_| server.sql(reading) == "1"));
    records.extend(run.poll_until(|run| run.context.progress().is_some_and(|told| told.phase == "snapshot")));
    server.sql("UPDATE t SET v = 1 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO u VALUES (10, 0)");
    server.sql("SELECT pg_sleep(5)");
    assert_eq!(server.sql(holder), pid, "the server was kept waiting, not the slot given back");
    records.extend(run.poll().unwrap());
    assert_eq!(records.len(), 2, "the rest of the signal's transaction comes, and nothing behind it");
    server.sql("SELECT setval('gate', 2)");
    let read = run.take(7).unwrap();
    assert!(read.iter().all(|record| json(&record.value)["op"] == "r"), "{:?}", changes(&read));
    let marks: Vec<_> = read.iter().map(mark).collect();
    assert_eq!(marks, ["first", "true", "true", "true", "last_in_data_collection", "first_in_data_collection", "last"]);
    let ids: Vec<_> = read.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 8, 9]);
    // u, d, its tombstone, c.
    let later = run.take(4).unwrap();
    let operations: Vec<_> = later.iter().map(|record| json(&record.value)["op"].clone()).collect();
    assert_eq!(operations, [serde_json::json!("u"), "d".into(), serde_json::Value::Null, "c".into()]);
    assert_eq!(mark(&later[0]), "false");
    run.commit().unwrap();
    wait_for_end(&mut run, &offsets);
    run.stop();
}

#[test]
fn signals_of_any_channel_take_queries_and_a_bad_one_harms_nothing() {
    let server = Server::start();
    server.sql(&format!(
        "{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY);
         INSERT INTO t SELECT i, 0 FROM generate_series(1, 9) i; INSERT INTO u VALUES (1);"
    ));
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    let query = r#"{"data-collection": "public.t", "filter": "SELECT * FROM public.t WHERE id < 4 ORDER BY id DESC;"}"#;
    let text = format!(
        r#"{{"type": "execute-snapshot", "data": {{"type": "BLOCKING", "data-collections": ["public.t"],
            "additional-conditions": [{query}]}}}}"#
    );
    run.context.signal(TaskSignal { id: "rest".to_owned(), text, next: None });
    let records = run.take(3).unwrap();
    assert_eq!(records.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((mark(&records[0]), mark(&records[2])), ("first".to_owned(), "last".to_owned()));
    server.sql(&signal("\"public.t\"", r#"{"data-collection": "public.t", "filter": "nonsense = 1"}"#));
    run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("nonsense")));
    server.sql("INSERT INTO t VALUES (100, 5)");
    assert_eq!(changes(&run.take(1).unwrap()), [serde_json::json!(["c", {"id": 100, "v": 5}])]);
    run.commit().unwrap();
    wait_for_end(&mut run, &offsets);
    run.stop();
}

#[test]
fn a_restart_in_the_midst_goes_on_with_the_rows_and_then_with_the_stream() {
    let server = Server::start();
    // Some 150 MB of pages, so that there are several ranges.
    server.sql(&format!(
        "{SIGNALS} CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
         CREATE TABLE big (id int PRIMARY KEY, v int, pad char(1500)) WITH (fillfactor = 90);
         INSERT INTO big SELECT i, 0, 'p' FROM generate_series(1, 100000) i;"
    ));
    let offsets = Offsets::default();
    let mut state: BTreeMap<i64, i64> = BTreeMap::new();
    let mut apply = |records: &[SourceRecord]| {
        for record in records.iter().filter(|record| record.topic.as_ref() == "p.public.big") {
            let (id, value) = (json(&record.key)["id"].as_i64().unwrap(), json(&record.value));
            match value["after"]["v"].as_i64() {
                Some(v) => drop(state.insert(id, v)),
                None => drop(state.remove(&id)),
            }
        }
    };
    let keys = [&KEYS[..], &[("max.queue.size", "4096"), ("snapshot.max.threads", "2")]].concat();
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql(&signal("\"public.(t|big)\"", r#"{"data-collection": "public.(t|big)", "filter": "id > 0"}"#));
    let page = || offsets.get(&partition())?["levada_snapshot"]["current"][0]["page"].as_i64();
    let mut seen = 0;
    while !offsets.get(&partition()).is_some_and(|offset| offset.contains_key("levada_snapshot")) || page().is_none() {
        let records = run.poll().unwrap();
        seen += records.len();
        apply(&records);
        run.commit().unwrap();
    }
    assert!(seen < 100_000, "it is in the midst of it");
    let stored = offsets.get(&partition()).unwrap();
    assert!(stored.get("snapshot").is_none(), "the position is the stream's: {stored:?}");
    // What changes now is read by the first try or the second, and streamed behind both.
    server.sql("UPDATE big SET v = 1 WHERE id % 3 = 0; DELETE FROM big WHERE id % 1000 = 0");
    run.stop();
    server.sql("UPDATE big SET v = v + 1 WHERE id % 7 = 0; INSERT INTO big VALUES (1000001, 5, '')");
    let mut run = server.source(&keys, &offsets);
    let (mut again, mut streamed) = (0, 0);
    loop {
        let records = run.poll().unwrap();
        for record in &records {
            match json(&record.value)["op"].as_str() {
                Some("r") => {
                    again += 1;
                    assert_eq!(streamed, 0, "the stream goes on behind the rows");
                }
                _ => streamed += 1,
            }
        }
        apply(&records);
        run.commit().unwrap();
        if records.iter().any(|record| json(&record.key)["id"] == 1_000_001 && json(&record.value)["op"] == "c") {
            break;
        }
    }
    assert!(again > 0 && again < 90_000, "finished ranges are not read again: {again}");
    assert!(streamed > 40_000, "what was changed in both tries: {streamed}");
    let sums = format!("{}|{}", state.len(), state.iter().map(|(id, v)| id * (v + 1)).sum::<i64>());
    assert_eq!(sums, server.sql("SELECT count(*), sum(id::bigint * (v + 1)) FROM big"));
    assert!(!offsets.get(&partition()).unwrap().contains_key("levada_snapshot"));
    run.stop();
}

/// A commit waits for a standby behind its record in the log: the stream shows it, and no other session sees it.
#[test]
fn rows_are_not_older_than_what_was_streamed() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)"));
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("SELECT pg_reload_conf()");
    let mut held = server.begin("UPDATE t SET v = 1 WHERE id = 1");
    assert_eq!(changes(&run.take(1).unwrap()), [serde_json::json!(["u", {"id": 1, "v": 1}])]);
    server.sql(&format!("SET synchronous_commit = local; {}", signal("\"public.t\"", "")));
    // The stream does not wait for it.
    server.sql("SET synchronous_commit = local; INSERT INTO t VALUES (3, 3)");
    assert_eq!(changes(&run.take(1).unwrap()), [serde_json::json!(["c", {"id": 3, "v": 3}])]);
    run.expect_nothing();
    server.sql("ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("SELECT pg_reload_conf()");
    let read: BTreeMap<_, _> = run
        .take(3)
        .unwrap()
        .iter()
        .map(|record| (json(&record.key)["id"].as_i64().unwrap(), json(&record.value)["after"]["v"].as_i64().unwrap()))
        .collect();
    assert_eq!(read, BTreeMap::from([(1, 1), (2, 0), (3, 3)]));
    assert!(held.wait().unwrap().success());
    run.stop();
}

#[test]
fn a_blocking_snapshot_comes_in_between_the_chunks_of_an_incremental_one() {
    let server = Server::start();
    server.sql(&format!(
        "{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY, v int);
         INSERT INTO t SELECT i, 0 FROM generate_series(1, 2000) i; INSERT INTO u SELECT i, 0 FROM generate_series(1, 50) i"
    ));
    let offsets = Offsets::default();
    let keys = [&KEYS[..], &[("incremental.snapshot.chunk.size", "50"), ("max.batch.size", "50")]].concat();
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql(
        r#"INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"type": "incremental", "data-collections": ["public.t"]}')"#,
    );
    let (mut records, mut asked) = (Vec::new(), false);
    let chunked = |records: &[SourceRecord]| records.iter().filter(|record| mark(record) == "incremental").count();
    let since = std::time::Instant::now();
    while chunked(&records) < 2000 || records.len() < 2051 {
        assert!(since.elapsed() < std::time::Duration::from_secs(180), "{} records", records.len());
        records.extend(run.poll().unwrap());
        run.commit().unwrap();
        if !asked && chunked(&records) >= 100 {
            asked = true;
            server.sql(&format!("UPDATE t SET v = 1 WHERE id = 1999; {}", signal("\"public.u\"", "")));
        }
    }
    let read = |record: &&SourceRecord| *record.topic == *"p.public.u";
    assert_eq!(records.iter().filter(read).count(), 50);
    let first = records.iter().position(|record| read(&record)).unwrap();
    assert!(records[first..first + 50].iter().all(|record| read(&record)), "nothing comes between its rows");
    assert!(chunked(&records[first + 50..]) > 0, "the chunks go on behind it");
    let mut state = BTreeMap::new();
    for record in records.iter().filter(|record| !read(record)) {
        let value = json(&record.value);
        state.insert(value["after"]["id"].as_i64().unwrap(), value["after"]["v"].as_i64().unwrap());
    }
    assert_eq!((state.len(), state[&1999], state.values().sum::<i64>()), (2000, 1, 1));
    run.expect_nothing();
    run.stop();
}

#[test]
fn a_query_that_lacks_a_column_is_given_up_for_good() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)"));
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql(&signal("\"public.t\"", r#"{"data-collection": "public.t", "filter": "SELECT id FROM public.t"}"#));
    run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("does not select column \"v\"")));
    server.sql("INSERT INTO t VALUES (2, 2)");
    assert_eq!(changes(&run.take(1).unwrap()), [serde_json::json!(["c", {"id": 2, "v": 2}])]);
    run.commit().unwrap();
    run.stop();
    let mut run = server.source(&KEYS, &offsets);
    server.sql("INSERT INTO t VALUES (3, 3)");
    assert_eq!(changes(&run.take(1).unwrap()), [serde_json::json!(["c", {"id": 3, "v": 3}])]);
    run.stop();
}
