//! Signals, and incremental snapshots.

use crate::{capture::wait_for_slot, json::json, server::Server};
use levada_connector_api::{
    SignalTopic, SourceRecord, TaskSignal,
    testkit::{Offsets, SourceRun},
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

const KEYS: [(&str, &str); 6] = [
    ("snapshot.mode", "no_data"),
    ("signal.data.collection", "public.signals"),
    ("publication.autocreate.mode", "filtered"),
    ("table.include.list", "public.t,public.pair"),
    ("incremental.snapshot.chunk.size", "100"),
    ("max.batch.size", "100"),
];
const SIGNALS: &str = "CREATE TABLE signals (id varchar PRIMARY KEY, type varchar NOT NULL, data varchar);";

fn is_read(record: &SourceRecord) -> bool {
    json(&record.value)["op"] == "r"
}

/// What a sink would have.
pub fn apply(state: &mut BTreeMap<i64, i64>, records: &[SourceRecord]) {
    for record in records.iter().filter(|record| record.topic.as_ref() == "p.public.t") {
        let (id, value) = (json(&record.key)["id"].as_i64().unwrap(), json(&record.value));
        match value["after"]["v"].as_i64() {
            Some(v) => drop(state.insert(id, v)),
            None => drop(state.remove(&id)),
        }
    }
}

#[test]
fn a_table_is_read_anew_while_it_changes_and_over_a_restart() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int)"));
    server.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i");
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    let (mut state, over) = (BTreeMap::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let server = &server;
        let over = &over;
        scope.spawn(move || {
            let mut round = 0;
            while round < 400 && !over.load(Ordering::SeqCst) {
                round += 1;
                server.sql(&format!(
                    "UPDATE t SET v = v + 1 WHERE id % 70 = {0}; DELETE FROM t WHERE id = {round};
                     UPDATE t SET id = id + 100000 WHERE id = 3000 - {round};",
                    round % 70
                ));
            }
        });
        server.sql(r#"INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.t"]}')"#);
        let partition = serde_json::json!({"server": "p"}).as_object().unwrap().clone();
        let mut reads = 0;
        while reads < 1000 {
            let records = run.poll().unwrap();
            reads += records.iter().filter(|record| is_read(record)).count();
            apply(&mut state, &records);
            run.commit().unwrap();
        }
        assert!(offsets.get(&partition).unwrap()["levada_incremental"]["last"].is_array(), "in the midst of it");
        run.stop();
        let mut run = server.source(&KEYS, &offsets);
        let mut again = 0;
        while again == 0 || offsets.get(&partition).unwrap().contains_key("levada_incremental") {
            let records = run.poll().unwrap();
            again += records.iter().filter(|record| is_read(record)).count();
            apply(&mut state, &records);
            run.commit().unwrap();
        }
        assert!(again < 2500, "what was read is not read again: {again}");
        over.store(true, Ordering::SeqCst);
        server.sql("INSERT INTO t VALUES (999999, 1)");
        // The writer may have a round to go.
        let since = std::time::Instant::now();
        loop {
            let records = run.poll().unwrap();
            apply(&mut state, &records);
            if !records.is_empty() {
                continue;
            }
            let shown = format!("{}|{}", state.len(), state.iter().map(|(id, v)| id * (v + 1)).sum::<i64>());
            if shown == server.sql("SELECT count(*), sum(id::bigint * (v + 1)) FROM t") {
                break;
            }
            assert!(since.elapsed() < std::time::Duration::from_secs(60), "{shown} is not the table");
        }
        run.stop();
    });
}

#[test]
fn signals_filter_pause_go_on_and_stop() {
    let server = Server::start();
    server.sql(&format!(
        "{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE pair (a text, b int, PRIMARY KEY (a, b))"
    ));
    server.sql(
        "INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i;
         INSERT INTO pair SELECT E'q''\\\\\\t' || i % 3, i FROM generate_series(1, 500) i",
    );
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    let signal = |id: &str, kind: &str, data: &str| {
        server.sql(&format!("INSERT INTO signals VALUES ('{id}', '{kind}', '{data}')"));
    };
    let named = |table: &str| format!(r#"{{"data-collections": ["public.{table}"]}}"#);
    signal("1", "execute-snapshot", &named("pair"));
    let records = run.take(500).unwrap();
    let keys: Vec<_> = records
        .iter()
        .map(|record| (json(&record.key)["a"].as_str().unwrap().to_owned(), json(&record.key)["b"].as_i64().unwrap()))
        .collect();
    assert!(keys.is_sorted() && keys.iter().collect::<std::collections::BTreeSet<_>>().len() == 500);
    assert_eq!(json(&records[0].value)["source"]["snapshot"], "incremental");
    signal(
        "2",
        "execute-snapshot",
        r#"{"data-collections": ["public.t"], "additional-conditions": [{"data-collection": "public.t", "filter": "id > 990"}]}"#,
    );
    assert_eq!(run.take(10).unwrap().len(), 10);
    // Paused before it begins.
    server.sql(&format!(
        "INSERT INTO signals VALUES ('3', 'execute-snapshot', '{}'), ('4', 'pause-snapshot', '')",
        named("t")
    ));
    server.sql("INSERT INTO t VALUES (2000, 1)");
    let records = run.take(1).unwrap();
    assert_eq!(json(&records[0].value)["op"], "c");
    run.expect_nothing();
    let told = |run: &SourceRun| run.context.progress().filter(|told| told.phase == "incremental snapshot, paused");
    run.poll_until(|run| told(run).is_some());
    let tables = told(&run).unwrap().tables.unwrap();
    assert_eq!((tables.done, tables.total), (0, Some(1)));
    signal("5", "resume-snapshot", "");
    assert_eq!(run.take(1001).unwrap().iter().filter(|record| is_read(record)).count(), 1001);
    server.sql(&format!(
        "INSERT INTO signals VALUES ('6', 'execute-snapshot', '{}'), ('7', 'stop-snapshot', '{{}}')",
        named("t")
    ));
    signal("8", "execute-snapshot", &named("nothing"));
    run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("public.nothing")));
    run.expect_nothing();
    run.stop();
}

#[test]
fn what_changes_while_a_chunk_is_read_is_newer_than_the_chunk() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); CREATE SEQUENCE gate"));
    server.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 5) i");
    // The reading of the chunk stands still until the gate opens.
    server.sql(
        "CREATE FUNCTION gate() RETURNS bool LANGUAGE plpgsql VOLATILE AS $$ BEGIN
           -- A sequence is the same for every snapshot.
           WHILE current_query() LIKE 'COPY%' AND (SELECT last_value FROM gate) = 1 LOOP
             PERFORM pg_sleep(0.05);
           END LOOP;
           RETURN true;
         END $$",
    );
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql(
        r#"INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.t"],
           "additional-conditions": [{"data-collection": "public.t", "filter": "gate()"}]}')"#,
    );
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%gate()%' AND state = 'active'";
    run.poll_until(|_| server.sql(reading) == "1");
    server.sql("UPDATE t SET v = 1 WHERE id = 1");
    server.sql("DELETE FROM t WHERE id = 2");
    server.sql("UPDATE t SET id = 30 WHERE id = 3");
    server.sql("SELECT setval('gate', 2)");
    // u, d, tombstone, d, tombstone, c, and the two rows that nobody changed.
    let records = run.take(8).unwrap();
    let read: Vec<_> =
        records.iter().filter(|record| is_read(record)).map(|record| json(&record.key)["id"].clone()).collect();
    assert_eq!(read, [4, 5]);
    run.expect_nothing();
    run.stop();
}

/// A commit waits for a standby behind its record in the log: the stream shows it, and no other session sees it.
#[test]
fn a_chunk_waits_for_commits_that_were_streamed_and_are_not_visible_yet() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int)"));
    server.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 5) i");
    for restart in [false, true] {
        let offsets = Offsets::default();
        let mut run = server.source(&KEYS, &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("UPDATE t SET v = 0 WHERE id = 2");
        run.take(1).unwrap();
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        server.sql("SELECT pg_reload_conf()");
        let mut held = server.begin("UPDATE t SET v = v + 1 WHERE id = 1");
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let mut records = run.poll_until(|_| server.sql(waiting) == "1");
        while records.is_empty() {
            records = run.poll().unwrap();
        }
        let new = json(&records[0].value)["after"]["v"].clone();
        run.commit().unwrap();
        if restart {
            run.stop();
            run = server.source(&KEYS, &offsets);
        }
        server.sql(
            r#"SET synchronous_commit = local;
               INSERT INTO signals VALUES (gen_random_uuid(), 'execute-snapshot', '{"data-collections": ["public.t"]}')"#,
        );
        let tried =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'levada' AND query LIKE 'ROLLBACK --%'";
        let early = run.poll_until(|_| server.sql(tried) == "1");
        let early: Vec<_> = early.iter().map(|record| json(&record.value)).collect();
        assert!(early.is_empty(), "with a restart: {restart}: {early:?}");
        server.sql("ALTER SYSTEM RESET synchronous_standby_names");
        server.sql("SELECT pg_reload_conf()");
        let records = run.take(5).unwrap();
        let read = records.iter().find(|record| json(&record.key)["id"] == 1).unwrap();
        assert_eq!(json(&read.value)["after"]["v"], new, "the chunk is not older than what was streamed");
        assert!(held.wait().unwrap().success());
        run.stop();
        server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    }
}

#[test]
fn a_reader_that_may_not_write_has_incremental_snapshots_of_an_idle_database() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int)"));
    server.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 250) i");
    server.sql("CREATE ROLE reader LOGIN REPLICATION; GRANT SELECT ON t, signals TO reader");
    server.sql("ALTER ROLE reader SET default_transaction_read_only = on");
    server.sql("CREATE PUBLICATION dbz_publication FOR TABLE t, signals");
    let keys = [("database.user", "reader"), ("publication.autocreate.mode", "disabled"), ("read.only", "true")];
    let offsets = Offsets::default();
    let mut run = server.source(&[&KEYS[..2], &KEYS[3..], &keys].concat(), &offsets);
    wait_for_slot(&server, &mut run);
    // An asynchronous commit leaves the end of the log unwritten.
    server.sql(
        r#"SET synchronous_commit = off;
           INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.t"]}')"#,
    );
    let records = run.take(250).unwrap();
    assert!(records.iter().all(is_read));
    assert_eq!(server.sql("SELECT count(*) FROM signals"), "1");
    assert_eq!(run.context.warnings(), Vec::<String>::new());
    run.stop();
}

#[test]
fn signals_come_from_the_worker_a_topic_and_a_file() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("signals.txt");
    let keys = [
        ("snapshot.mode", "no_data"),
        ("signal.enabled.channels", "kafka,file"),
        ("signal.kafka.topic", "signals"),
        ("signal.poll.interval.ms", "100"),
        ("signal.file", file.to_str().unwrap()),
    ];
    let offsets = Offsets::default();
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    let topic =
        |from: &[(i32, i64)]| SignalTopic { topic: "signals".to_owned(), key: "p".to_owned(), from: from.to_vec() };
    assert_eq!(run.context.signal_topic(), Some(topic(&[])));
    let execute = r#"{"type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}"#;
    let signal = |text: &str, next| TaskSignal { id: "s".to_owned(), text: text.to_owned(), next };
    // By REST, and by a record of the topic; the first only tells where the topic begins.
    run.context.signal(signal("", Some((0, 5))));
    run.context.signal(signal(execute, None));
    assert!(run.take(2).unwrap().iter().all(is_read));
    run.context.signal(signal(execute, Some((0, 6))));
    assert!(run.take(2).unwrap().iter().all(is_read));
    run.context.signal(signal("nonsense", Some((0, 7))));
    run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("no JSON of type and data")));
    let line = r#"{"id": "f", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}"#;
    std::fs::write(&file, format!("{line}\n\n")).unwrap();
    assert!(run.take(2).unwrap().iter().all(is_read));
    run.poll_until(|_| home.path().read_dir().unwrap().count() == 0);
    // What was renamed before a crash.
    std::fs::write(home.path().join("signals.txt.p.taken"), line).unwrap();
    assert!(run.take(2).unwrap().iter().all(is_read));
    let partition = serde_json::json!({"server": "p"}).as_object().unwrap().clone();
    run.commit().unwrap();
    while offsets.get(&partition).unwrap()["levada_signals"] != serde_json::json!([[0, 7]]) {
        run.poll().unwrap();
        run.commit().unwrap();
    }
    run.stop();
    let run = server.source(&keys, &offsets);
    assert_eq!(run.context.signal_topic(), Some(topic(&[(0, 7)])), "what was followed is not followed again");
    run.stop();
}

#[test]
fn what_can_t_be_read_is_told_and_the_stream_goes_on() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE pair (a int PRIMARY KEY)"));
    server.sql("INSERT INTO t VALUES (1, 0); INSERT INTO pair VALUES (7)");
    let mut run = server.source(&KEYS, &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.sql(
        r#"INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.t", "public.pair"],
           "additional-conditions": [{"data-collection": "public.t", "filter": "idd > 5"}]}')"#,
    );
    let records = run.take(1).unwrap();
    assert_eq!((is_read(&records[0]), records[0].topic.as_ref()), (true, "p.public.pair"));
    let warned = run.context.warnings();
    assert!(warned.iter().any(|text| text.contains("public.t is given up") && text.contains("idd")), "{warned:?}");
    server.sql("INSERT INTO t VALUES (2, 0)");
    assert!(!is_read(&run.take(1).unwrap()[0]));
    run.stop();
}

#[test]
fn a_signal_that_was_taken_by_a_reading_that_fails_is_followed_by_the_next() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)");
    let keys = [("snapshot.mode", "no_data"), ("guardrail.collections.max", "1"), ("signal.poll.interval.ms", "50")];
    let offsets = Offsets::default();
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    // The tables that a signal means are looked up: that fails as long as there are too many.
    server.sql("CREATE TABLE u (id int PRIMARY KEY)");
    let text = r#"{"type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}"#;
    run.context.signal(TaskSignal { id: "s".to_owned(), text: text.to_owned(), next: Some((0, 3)) });
    let error = run.take_error();
    assert!(error.message.contains("guardrail.collections.max"), "{error}");
    server.sql("DROP TABLE u");
    assert!(run.take(2).unwrap().iter().all(is_read));
    run.expect_nothing();
    run.commit().unwrap();
    let partition = serde_json::json!({"server": "p"}).as_object().unwrap().clone();
    assert_eq!(offsets.get(&partition).unwrap()["levada_signals"], serde_json::json!([[0, 3]]));
    // What was followed is not followed again.
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'levada'");
    let error = run.take_error();
    assert_eq!(error.kind, levada_connector_api::ErrorKind::Retriable, "{error}");
    wait_for_slot(&server, &mut run);
    run.expect_nothing();
    run.stop();
}

#[test]
fn the_slot_is_dropped_on_a_stop_in_the_midst_of_a_chunk() {
    let server = Server::start();
    server.sql(&format!("{SIGNALS} CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)"));
    let mut run = server.source(&[&KEYS[..], &[("slot.drop.on.stop", "true")]].concat(), &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.sql(
        r#"CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql VOLATILE AS $$ BEGIN
             IF current_query() LIKE 'COPY%' THEN PERFORM pg_sleep(600); END IF;
             RETURN true;
           END $$;
           INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.t"],
           "additional-conditions": [{"data-collection": "public.t", "filter": "slow()"}]}')"#,
    );
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%slow()%' AND state = 'active'";
    run.poll_until(|_| server.sql(reading) == "1");
    run.stop();
    assert_eq!(server.sql("SELECT count(*) FROM pg_replication_slots"), "0");
}
