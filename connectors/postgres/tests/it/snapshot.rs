//! Tables read whole.

use crate::{
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{SourceRecord, testkit::Offsets};
use serde_json::json;
use std::collections::BTreeMap;

fn partition() -> levada_connector_api::OffsetMap {
    json!({"server": "p"}).as_object().unwrap().clone()
}

#[test]
fn a_snapshot_comes_first_and_the_stream_goes_on_behind_it() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i, E'x\\t\\\\' || i FROM generate_series(1, 3) i;
         CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2);
         CREATE TABLE \"Weird \"\"Näme\" (\"Cölumn 1\" int PRIMARY KEY, e text); INSERT INTO \"Weird \"\"Näme\" VALUES (1, NULL);
         CREATE TABLE nokey (v int); INSERT INTO nokey VALUES (1);",
    );
    let offsets = Offsets::default();
    let mut run = server.source(&[], &offsets);
    let mut records = run.take(7).unwrap();
    let marks: Vec<_> =
        records.iter().map(|record| json(&record.value)["source"]["snapshot"].as_str().unwrap().to_owned()).collect();
    assert_eq!(marks[0], "first");
    assert_eq!(marks[6], "last");
    let tables: Vec<_> =
        records.iter().map(|record| json(&record.value)["source"]["table"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tables, ["Weird \"Näme", "a", "a", "a", "c", "c", "nokey"]);
    assert_eq!(
        marks[1..6],
        [
            "first_in_data_collection",
            "true",
            "last_in_data_collection",
            "first_in_data_collection",
            "last_in_data_collection"
        ]
    );
    let rows = changes(&records);
    assert_eq!(rows[1], json!(["r", {"id": 1, "v": "x\t\\1"}]));
    assert_eq!(rows[0], json!(["r", {"Cölumn 1": 1, "e": null}]));
    assert_eq!(records[0].topic.as_ref(), "p.public.Weird__N_me");
    assert_eq!(json(&records[6].key), json!(null));
    server.sql("INSERT INTO a VALUES (4, 'later')");
    records = run.take(1).unwrap();
    assert_eq!(changes(&records), [json!(["c", {"id": 4, "v": "later"}])]);
    run.commit().unwrap();
    let offset = offsets.get(&partition()).unwrap();
    assert!(offset.get("snapshot").is_none(), "a streaming offset");
    assert!(offset["levada_system"].is_string() && offset["lsn_proc"].is_i64());
    run.stop();
    server.sql("INSERT INTO a VALUES (5, 'while stopped')");
    let mut run = server.source(&[], &offsets);
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 5, "v": "while stopped"}])]);
    run.stop();
}

#[test]
fn an_interrupted_snapshot_goes_on_and_the_last_events_are_the_table() {
    let server = Server::start();
    // Some 150 MB of pages, so that there are several ranges.
    server.sql(
        "CREATE TABLE big (id int PRIMARY KEY, v int, pad char(1500)) WITH (fillfactor = 90);
         INSERT INTO big SELECT i, 0, 'p' FROM generate_series(1, 100000) i; CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);",
    );
    let offsets = Offsets::default();
    let mut state: BTreeMap<i64, i64> = BTreeMap::new();
    let mut apply = |records: &[SourceRecord]| {
        for record in records.iter().filter(|record| record.topic.as_ref() == "p.public.big") {
            let (key, value) = (json(&record.key), json(&record.value));
            match value["after"]["v"].as_i64() {
                Some(v) => drop(state.insert(key["id"].as_i64().unwrap(), v)),
                None => drop(state.remove(&key["id"].as_i64().unwrap())),
            }
        }
    };
    let threads = ("snapshot.max.threads", "2");
    let mut run = server.source(&[("max.queue.size", "4096"), threads], &offsets);
    let progressed = || {
        offsets
            .get(&partition())
            .is_some_and(|offset| offset["levada_snapshot"]["current"][0]["page"].as_i64() > Some(0))
    };
    let mut seen = 0;
    while !progressed() {
        let records = run.poll().unwrap();
        seen += records.len();
        apply(&records);
        run.commit().unwrap();
    }
    assert!(seen < 100_000, "it is in the midst of it");
    // What is not committed is lost, as with a crash.
    run.stop();
    server.sql("UPDATE big SET v = 1 WHERE id % 3 = 0; DELETE FROM big WHERE id % 1000 = 0; INSERT INTO big VALUES (1000001, 5, '')");
    let mut run = server.source(&[threads], &offsets);
    let mut again = 0;
    loop {
        let records = run.poll().unwrap();
        again += records.iter().filter(|record| json(&record.value)["op"] == "r").count();
        apply(&records);
        run.commit().unwrap();
        if records.iter().any(|record| json(&record.key)["id"] == json!(1_000_001) && json(&record.value)["op"] == "c")
        {
            break;
        }
    }
    assert!(again < 90_000, "finished ranges are not read again: {again}");
    let expected = server.sql("SELECT count(*), sum(v), sum(id::bigint * (v + 1)) FROM big");
    let sums = format!(
        "{}|{}|{}",
        state.len(),
        state.values().sum::<i64>(),
        state.iter().map(|(id, v)| id * (v + 1)).sum::<i64>()
    );
    assert_eq!(sums, expected);
    run.stop();
}

#[test]
fn tables_are_read_side_by_side_as_of_one_moment() {
    let server = Server::start();
    for table in ["a", "b", "c", "d"] {
        server.sql(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, v int);
             INSERT INTO {table} SELECT i, 0 FROM generate_series(1, 5000) i; CREATE TABLE {table}_empty (id int PRIMARY KEY)"
        ));
    }
    let offsets = Offsets::default();
    let mut run = server.source(&[("snapshot.max.threads", "3"), ("max.batch.size", "100")], &offsets);
    // Without room in the queue no table is read to its end: others are seen before.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'";
    let mut records = run.poll_until(|_| server.sql(sessions) == "3");
    server.sql("UPDATE a SET v = 1; UPDATE b SET v = 1; UPDATE c SET v = 1; UPDATE d SET v = 1");
    records.extend(run.take(20_000 - records.len()).unwrap());
    let mark = |record: &SourceRecord| json(&record.value)["source"]["snapshot"].as_str().unwrap().to_owned();
    assert_eq!((mark(&records[0]), mark(&records[19_999])), ("first".to_owned(), "last".to_owned()));
    for table in ["a", "b", "c", "d"] {
        let own = format!("p.public.{table}");
        let rows: Vec<_> = records.iter().filter(|record| record.topic.as_ref() == own).collect();
        let ids: Vec<_> = rows.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, (1..=5000).collect::<Vec<_>>());
        assert!(
            rows.iter().all(|record| json(&record.value)["after"]["v"] == 0),
            "{table} as it was at the slot's start"
        );
        let marks = |wanted: &str| rows.iter().filter(|record| mark(record).contains(wanted)).count();
        assert_eq!((marks("first"), marks("last")), (1, 1), "{table}");
    }
    let updated = run.take(20_000).unwrap();
    assert!(updated.iter().all(|record| json(&record.value)["op"] == "u"));
    run.stop();
}

#[test]
fn overrides_and_lists_choose_what_is_read() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (3);");
    let offsets = Offsets::default();
    let keys = [
        ("snapshot.mode", "initial_only"),
        ("snapshot.include.collection.list", "public.a"),
        ("snapshot.select.statement.overrides", "public.a"),
        ("snapshot.select.statement.overrides.public.a", "SELECT * FROM a WHERE id > 1;"),
    ];
    let mut run = server.source(&keys, &offsets);
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["r", {"id": 2}])]);
    server.sql("INSERT INTO a VALUES (9)");
    run.expect_nothing();
    run.commit().unwrap();
    assert_eq!(run.context.warnings(), Vec::<String>::new());
    run.stop();
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(server.sql(slots), "0", "nobody would advance it");
    // One that is somebody else's, or of an earlier version, is told.
    server.sql("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')");
    let mut run = server.source(&keys, &offsets);
    run.poll_until(|run| {
        run.context.warnings().iter().any(|text| text.contains("pg_drop_replication_slot('debezium')"))
    });
    run.expect_nothing();
    run.stop();
    assert_eq!(server.sql(slots), "1");
}
