//! Stops, losses of connection, and the slot's advance.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{ConnectorError, ErrorKind, testkit::Offsets};
use serde_json::json;
use std::time::Duration;

/// Whether a final error is one that the worker's restart policy tries again.
pub fn is_passing(error: &ConnectorError) -> bool {
    let cause = error.source.as_ref().and_then(|cause| cause.downcast_ref::<ConnectorError>());
    cause.is_some_and(|cause| cause.kind == ErrorKind::Retriable)
}

#[test]
fn a_transaction_half_committed_goes_on_at_its_next_event() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let offsets = Offsets::default();
    let keys = [("snapshot.mode", "no_data"), ("max.batch.size", "10"), ("max.queue.size", "10")];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t SELECT generate_series(1, 100)");
    let mut records = Vec::new();
    while records.len() < 30 {
        records.extend(run.poll().unwrap());
        run.commit().unwrap();
    }
    run.stop();
    let mut run = server.source(&keys, &offsets);
    let left = 100 - records.len();
    records.extend(run.take(left).unwrap());
    let ids: Vec<_> = records.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>(), "nothing twice, nothing missing");
    run.stop();
}

#[test]
fn what_waited_for_long_comes_whole_and_the_newest_follows_it() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY, v text)");
    let offsets = Offsets::default();
    let keys = [("snapshot.mode", "no_data")];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    run.stop();
    let write = |count: usize| {
        server.sql(&format!("INSERT INTO t (v) SELECT repeat('x', 300) FROM generate_series(1, {count})"));
    };
    (0..30).for_each(|_| write(1_000));
    // A second is what far behind is.
    std::thread::sleep(Duration::from_millis(1_200));
    let mut run = server.source(&keys, &offsets);
    let (mut records, mut cut) = (Vec::new(), false);
    while records.len() < 30_010 {
        match run.poll() {
            Ok(more) => records.extend(more),
            Err(error) => assert!(cut && error.kind == ErrorKind::Retriable, "{error}"),
        }
        if records.len() > 10_000 && !cut {
            server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
            write(10);
            cut = true;
        }
    }
    let ids: Vec<_> = records.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=30_010).collect::<Vec<_>>(), "nothing twice, nothing missing");
    run.stop();
}

#[test]
fn a_server_that_dies_is_waited_for() {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let offsets = Offsets::default();
    let mut run = server.source(&[("snapshot.mode", "no_data")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    assert_eq!(run.take(1).unwrap().len(), 1);
    server.kill();
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    server.launch();
    server.sql("INSERT INTO t VALUES (2)");
    let mut records = Vec::new();
    while records.is_empty() {
        // While the dead server's slot is released a try may still fail.
        records = run.poll().unwrap_or_default();
    }
    assert_eq!(changes(&records), [json!(["c", {"id": 2}])], "and the first row does not come again");
    run.stop();
}

#[test]
fn tries_that_are_used_up_leave_the_rest_to_the_restart_policy() {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut run = server.source(&[("snapshot.mode", "no_data"), ("errors.max.retries", "1")], &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.kill();
    assert_eq!(run.take_error().kind, ErrorKind::Retriable);
    let error = run.take_error();
    assert!(error.kind == ErrorKind::Fatal && error.message.contains("errors.max.retries=1"), "{error}");
    assert!(is_passing(&error), "{error:?}");
    run.stop();
}

#[test]
fn the_slot_follows_while_captured_tables_are_idle() {
    for publication in ["filtered", "all_tables"] {
        let mut server = Server::start();
        server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE busy (id int PRIMARY KEY)");
        let offsets = Offsets::default();
        let keys = [
            ("table.include.list", "public.t"),
            ("publication.autocreate.mode", publication),
            ("snapshot.mode", "no_data"),
        ];
        let mut run = server.source(&keys, &offsets);
        wait_for_slot(&server, &mut run);
        let lsn = |what: &str| {
            server.sql(&format!("SELECT {what}::pg_lsn - '0/0' FROM pg_replication_slots")).parse::<u64>().unwrap()
        };
        let begin = lsn("confirmed_flush_lsn");
        server.sql("INSERT INTO busy SELECT generate_series(1, 1000)");
        let end = lsn("pg_current_wal_lsn()");
        assert!(end > begin);
        let since = std::time::Instant::now();
        while lsn("confirmed_flush_lsn") < end {
            run.expect_nothing();
            run.commit().unwrap();
            assert!(since.elapsed() < std::time::Duration::from_secs(180), "the slot stands still, {publication}");
        }
        let offset = offsets.get(json!({"server": "p"}).as_object().unwrap()).unwrap();
        assert!(offset["lsn"].as_u64().unwrap() >= end, "never ahead of the offset");
        run.stop();
        server.stop();
    }
}

#[test]
fn heartbeats_come_by_time() {
    let server = Server::start();
    server.sql("CREATE TABLE beats (id serial PRIMARY KEY)");
    let offsets = Offsets::default();
    let keys = [
        ("snapshot.mode", "no_data"),
        ("heartbeat.interval.ms", "100"),
        ("heartbeat.action.query", "INSERT INTO beats DEFAULT VALUES"),
    ];
    let mut run = server.source(&keys, &offsets);
    let mut topics = std::collections::BTreeSet::new();
    while topics.len() < 2 {
        topics.extend(run.poll().unwrap().into_iter().map(|record| record.topic.to_string()));
    }
    assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["__debezium-heartbeat.p", "p.public.beats"]);
    run.stop();
}
