//! What PostgreSQL 17 and later have: failover slots, and slots that time out.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{ErrorKind, SourceRecord, testkit::Offsets};
use serde_json::json;
use std::time::{Duration, Instant};

const HANG: Duration = Duration::from_secs(180);

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < HANG, "never: {what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn ids(records: &[SourceRecord]) -> Vec<i64> {
    records.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect()
}

/// A primary that lets no change out to a failover slot before its standby has it, and that standby.
fn pair() -> (Server, Server) {
    let mut primary = Server::newer(&[]);
    primary.sql("CREATE TABLE t (id int PRIMARY KEY)");
    primary.sql("SELECT pg_create_physical_replication_slot('standby')");
    primary.stop();
    let mut standby = Server::copy_of(&primary);
    std::fs::write(standby.data().join("standby.signal"), "").unwrap();
    let to_primary = format!("primary_conninfo=host=127.0.0.1 port={} user=postgres dbname=d", primary.port());
    standby.set(&[&to_primary, "primary_slot_name=standby", "hot_standby_feedback=on", "sync_replication_slots=on"]);
    primary.set(&["synchronized_standby_slots=standby"]);
    primary.launch();
    standby.launch();
    (primary, standby)
}

#[test]
fn a_promoted_standby_goes_on_where_the_primary_ended() {
    let (mut primary, standby) = pair();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let keys = [
        ("database.hostname", hosts.as_str()),
        ("slot.failover", "true"),
        ("snapshot.mode", "no_data"),
        ("retriable.restart.connector.wait.ms", "100"),
    ];
    let offsets = Offsets::default();
    let mut run = primary.source(&keys, &offsets);
    let streams = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'debezium' AND active";
    let mut records = run.poll_until(|_| primary.sql(streams) == "1");
    let mut written = 0;
    // The slot is on the standby once it is known to be consistent there, for which it must move.
    until("the slot is synchronized", || {
        written += 1;
        primary.sql(&format!("INSERT INTO t VALUES ({written})"));
        records.extend(run.poll().unwrap());
        run.commit().unwrap();
        standby
            .sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'debezium' AND synced AND NOT temporary")
            == "1"
    });
    primary.sql("INSERT INTO t SELECT generate_series(10001, 10500)");
    let end = primary.sql("SELECT pg_current_wal_flush_lsn()");
    until("the standby has it all", || standby.sql(&format!("SELECT pg_last_wal_replay_lsn() >= '{end}'")) == "t");
    records.extend(run.poll().unwrap());
    run.commit().unwrap();
    primary.kill();
    // The second failure is the standby's: its slot belongs to the primary.
    let mut failures = 0;
    until("the source notices", || {
        match run.poll() {
            Ok(more) => records.extend(more),
            Err(error) => {
                failures += 1;
                assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
            }
        }
        failures == 2
    });
    standby.sql("SELECT pg_promote()");
    standby.sql("INSERT INTO t VALUES (20000)");
    let since = Instant::now();
    while ids(&records).last() != Some(&20_000) {
        match run.poll() {
            Ok(more) => records.extend(more),
            Err(error) => assert_eq!(error.kind, ErrorKind::Retriable, "{error}"),
        }
        run.commit().unwrap();
        assert!(since.elapsed() < HANG, "{} records, then nothing", records.len());
    }
    let found = ids(&records);
    let mut wanted = (1..=written).chain(10_001..=10_500).chain([20_000]);
    let missing: Vec<_> = wanted.clone().filter(|id| !found.contains(id)).collect();
    assert!(missing.is_empty(), "missing on the new timeline: {missing:?}");
    assert!(wanted.all(|id| found.iter().filter(|other| **other == id).count() == 1), "twice or more: {found:?}");
    run.stop();
}

#[test]
fn a_slot_that_timed_out_is_told_with_the_setting() {
    let server = Server::newer(&["idle_replication_slot_timeout=1s"]);
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let offsets = Offsets::default();
    let keys = [("snapshot.mode", "no_data")];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    run.take(1).unwrap();
    run.commit().unwrap();
    run.stop();
    until("the slot times out", || {
        server.sql("CHECKPOINT");
        server.sql("SELECT invalidation_reason FROM pg_replication_slots") == "idle_timeout"
    });
    let mut run = server.source(&keys, &offsets);
    let error = run.take_error();
    assert!(
        error.message.contains("idle_replication_slot_timeout") && error.message.contains("bytes of log"),
        "{error}"
    );
    assert_eq!(error.kind, ErrorKind::Fatal);
    run.stop();
}

#[test]
fn generated_columns_come_where_the_publication_has_them() {
    let server = Server::newer(&[]);
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v int GENERATED ALWAYS AS (id * 3) VIRTUAL,
                         s int GENERATED ALWAYS AS (id * 2) STORED);
         INSERT INTO t VALUES (1);
         CREATE PUBLICATION dbz_publication FOR TABLE t WITH (publish_generated_columns = stored)",
    );
    let mut run = server.source(&[], &Offsets::default());
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["r", {"id": 1, "s": 2}])]);
    server.sql("INSERT INTO t VALUES (2)");
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 2, "s": 4}])]);
    run.stop();
    server.drop_slot();
    server.sql("ALTER PUBLICATION dbz_publication SET (publish_generated_columns = none)");
    let mut run = server.source(&[], &Offsets::default());
    assert_eq!(changes(&run.take(2).unwrap()), [json!(["r", {"id": 1}]), json!(["r", {"id": 2}])]);
    server.sql("INSERT INTO t VALUES (3)");
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 3}])]);
    run.stop();
}
