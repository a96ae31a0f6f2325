//! Tables that somebody has locked.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{
    TaskSignal,
    testkit::{Offsets, SourceRun},
};
use serde_json::json;
use std::process::Child;

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");
/// Who says nothing for so long is cut off.
const HASTY: &str = "wal_sender_timeout=2s";
/// Longer than that: what the server waits for counts.
const USUAL: (&str, &str) = ("status.update.interval.ms", "10000");

fn lock(server: &Server) -> Child {
    let holder = server.begin("BEGIN; LOCK TABLE t; SELECT pg_sleep(600)");
    let granted =
        "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    while server.sql(granted) != "1" {}
    holder
}

fn unlock(server: &Server, mut holder: Child) {
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'");
    holder.wait().unwrap();
}

fn told(run: &SourceRun, words: &str) -> usize {
    run.context.warnings().iter().filter(|text| text.contains(words)).count()
}

const HOLDER: &str = "SELECT active_pid FROM pg_replication_slots";

/// The text of a default waits for the table's lock, and nothing else that an announcement needs.
#[test]
fn a_row_of_a_locked_table_comes_or_keeps_the_stream_waiting_and_the_server_hears_of_it() {
    for (default, waits) in [("", false), ("DEFAULT 7", true)] {
        let server = Server::with(&[HASTY]);
        server.sql(&format!("CREATE TABLE t (id int PRIMARY KEY, v int {default})"));
        let offsets = Offsets::default();
        let mut run = server.source(&[NO_DATA], &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO t VALUES (1, 7)");
        run.take(1).unwrap();
        run.commit().unwrap();
        run.stop();
        server.sql("INSERT INTO t VALUES (2, 7)");
        let holder = lock(&server);
        let mut run = server.source(&[NO_DATA, USUAL, ("snapshot.lock.timeout.ms", "500")], &offsets);
        let expected = [json!(["c", {"id": 2, "v": 7}])];
        if waits {
            wait_for_slot(&server, &mut run);
            let pid = server.sql(HOLDER);
            let records = run.poll_until(|run| told(run, "table public.t is locked by another session") == 1);
            server.sql("SELECT pg_sleep(5)");
            assert_eq!((server.sql(HOLDER), records.len()), (pid, 0), "the server was not kept waiting");
            unlock(&server, holder);
            assert_eq!(changes(&run.take(1).unwrap()), expected);
        } else {
            assert_eq!(changes(&run.take(1).unwrap()), expected);
            unlock(&server, holder);
        }
        run.stop();
    }
}

#[test]
fn a_chunk_of_a_locked_table_is_put_off_and_the_stream_goes_on() {
    let server = Server::with(&[HASTY]);
    server
        .sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2); CREATE TABLE u (id int PRIMARY KEY)");
    let keys = [NO_DATA, ("snapshot.lock.timeout.ms", "300"), ("signal.poll.interval.ms", "50")];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    let pid = server.sql(HOLDER);
    let holder = lock(&server);
    let text = r#"{"type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}"#;
    run.context.signal(TaskSignal { id: "s".to_owned(), text: text.to_owned(), next: None });
    let put_off = "the incremental snapshot of table public.t waits, and the stream goes on";
    let early = run.poll_until(|run| told(run, put_off) == 1);
    server.sql("SELECT pg_sleep(4)");
    server.sql("INSERT INTO u VALUES (5)");
    assert_eq!((early.len(), changes(&run.take(1).unwrap())), (0, vec![json!(["c", {"id": 5}])]));
    assert_eq!(server.sql(HOLDER), pid, "the server was not kept waiting");
    unlock(&server, holder);
    let read = run.take(2).unwrap();
    assert!(read.iter().all(|record| json(&record.value)["source"]["snapshot"] == "incremental"));
    assert_eq!(told(&run, put_off), 1, "{:?}", run.context.warnings());
    run.stop();
}

#[test]
fn a_snapshot_that_waits_for_a_lock_says_so() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    // Making a slot would wait for the transaction that has the lock.
    server.sql("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')");
    let holder = lock(&server);
    let mut run = server.source(&[("snapshot.lock.timeout.ms", "500")], &Offsets::default());
    let early = run.poll_until(|run| told(run, "table public.t is locked by another session (process ") == 1);
    unlock(&server, holder);
    assert_eq!((early.len(), changes(&run.take(1).unwrap())), (0, vec![json!(["r", {"id": 1}])]));
    run.stop();
}

#[test]
fn a_heartbeat_whose_table_is_locked_is_given_up_soon_and_changes_go_on() {
    let server = Server::with(&[HASTY]);
    server.sql("CREATE TABLE t (id serial PRIMARY KEY); CREATE TABLE o (id int PRIMARY KEY)");
    let beat = "INSERT INTO t DEFAULT VALUES";
    let keys = [
        NO_DATA,
        ("table.include.list", "public.o"),
        ("heartbeat.interval.ms", "300"),
        ("topic.heartbeat.prefix", "beat"),
        ("heartbeat.action.query", beat),
    ];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    let holder = lock(&server);
    let pid = server.sql(HOLDER);
    run.poll_until(|run| told(run, "heartbeat.action.query failed") >= 2);
    server.sql("INSERT INTO o VALUES (1)");
    let mut changed = false;
    while !changed {
        changed = run.poll().unwrap().iter().any(|record| &*record.topic == "p.public.o");
    }
    assert_eq!(server.sql(HOLDER), pid, "the stream was kept");
    unlock(&server, holder);
    while server.sql("SELECT count(*) > 0 FROM t") != "t" {
        run.poll().unwrap();
    }
    run.stop();
}
