//! Transactions that end late, servers that die, tables that go.

use super::world::{ids, row};
use crate::server::Server;
use levada_connector_api::{
    ErrorKind,
    testkit::{Offsets, SourceRun},
};
use std::{
    io::Write,
    process::{Child, Command, Stdio},
};

/// A psql with an open transaction.
struct Open(Child);

impl Open {
    fn begin(server: &Server, sql: &str) -> Self {
        let mut child = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres", "-d", "d", "-qX"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.as_mut().unwrap();
        writeln!(stdin, "BEGIN; {sql}; SELECT pg_advisory_lock(7);").unwrap();
        stdin.flush().unwrap();
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
        let since = std::time::Instant::now();
        while server.sql(held) != "1" {
            assert!(since.elapsed() < std::time::Duration::from_secs(30), "the transaction was not opened");
        }
        Self(child)
    }

    fn commit(mut self) {
        writeln!(self.0.stdin.as_mut().unwrap(), "COMMIT;").unwrap();
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn rows_of_transactions_that_end_late_are_not_missed() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())");
    server.sql("INSERT INTO t DEFAULT VALUES");
    for keys in [
        &[("mode", "incrementing"), ("table.whitelist", "t")][..],
        &[("mode", "timestamp"), ("table.whitelist", "t"), ("timestamp.column.name", "at")],
        &[("mode", "timestamp+incrementing"), ("table.whitelist", "t"), ("timestamp.column.name", "at")],
    ] {
        server.sql("TRUNCATE t RESTART IDENTITY; INSERT INTO t DEFAULT VALUES");
        let mut run = server.query(keys, &Offsets::default());
        assert_eq!(ids(&run.take(1).unwrap()), [1]);
        let open = Open::begin(&server, "INSERT INTO t DEFAULT VALUES");
        server.sql("INSERT INTO t DEFAULT VALUES");
        // Its rows would be read now, and the open transaction's, which are before them, never.
        run.expect_nothing();
        open.commit();
        assert_eq!(ids(&run.take(2).unwrap()), [2, 3], "{keys:?}");
        run.stop();
    }
    let keys = [("mode", "incrementing"), ("table.whitelist", "t"), ("wait.for.transactions", "false")];
    let mut run = server.query(&keys, &Offsets::default());
    run.take(3).unwrap();
    let open = Open::begin(&server, "INSERT INTO t DEFAULT VALUES");
    server.sql("INSERT INTO t DEFAULT VALUES");
    assert_eq!(ids(&run.take(1).unwrap()), [5], "as the Java connectors have it");
    open.commit();
    run.expect_nothing();
    run.stop();
}

#[test]
fn a_server_that_dies_in_the_midst_is_waited_for_and_nothing_is_missing() {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY, text text)");
    server.sql("INSERT INTO t (text) SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    let offsets = Offsets::default();
    let keys = [("mode", "incrementing"), ("table.whitelist", "t"), ("batch.max.rows", "500")];
    let mut run = server.query(&keys, &offsets);
    let mut seen = run.take(1000).unwrap();
    run.commit().unwrap();
    server.kill();
    let error = loop {
        match run.poll() {
            Ok(records) => seen.extend(records),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    run.commit().unwrap();
    server.launch();
    // The same task goes on.
    while seen.len() < 20_000 {
        seen.extend(run.poll().unwrap_or_default());
    }
    assert!(ids(&seen).into_iter().eq(1..=20_000), "nothing twice, nothing missing");
    run.stop();
}

#[test]
fn a_connection_that_is_cut_goes_on_behind_the_last_batch() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY, text text)");
    server.sql("INSERT INTO t (text) SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    let keys = [("mode", "incrementing"), ("table.whitelist", "t"), ("batch.max.rows", "500")];
    let mut run = server.query(&keys, &Offsets::default());
    let mut seen = run.take(1000).unwrap();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'levada'");
    let mut failures = 0;
    while seen.len() < 20_000 {
        match run.poll() {
            Ok(records) => seen.extend(records),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 1);
    assert!(ids(&seen).into_iter().eq(1..=20_000), "nothing twice, nothing missing");
    run.stop();
}

#[test]
fn a_dropped_table_does_not_hold_up_the_others_and_columns_may_change() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id serial PRIMARY KEY)");
    server.sql("INSERT INTO a DEFAULT VALUES; INSERT INTO b DEFAULT VALUES");
    let mut run = server.query(&[("mode", "incrementing")], &Offsets::default());
    let topics: Vec<_> = run.take(2).unwrap().iter().map(|record| record.topic.to_string()).collect();
    assert_eq!(topics, ["p-a", "p-b"]);
    server.sql("DROP TABLE a; ALTER TABLE b ADD COLUMN more text DEFAULT 'm', ADD COLUMN x point");
    server.sql("INSERT INTO b DEFAULT VALUES");
    let records = run.take(1).unwrap();
    assert_eq!(row(&records[0]), serde_json::json!({"id": 2, "more": "m"}));
    let told = |run: &SourceRun| {
        let warnings = run.context.warnings();
        warnings.iter().filter(|text| text.contains("table public.a is passed over")).count()
    };
    run.poll_until(|run| told(run) == 1);
    // Some polls on it is not told again; a table that has come again and is gone again is.
    for id in 3..6 {
        server.sql("INSERT INTO b DEFAULT VALUES");
        assert_eq!(row(&run.take(1).unwrap()[0])["id"], id);
    }
    assert_eq!(told(&run), 1, "{:?}", run.context.warnings());
    server
        .sql("CREATE TABLE a (id serial PRIMARY KEY); ALTER SEQUENCE a_id_seq RESTART 7; INSERT INTO a DEFAULT VALUES");
    assert_eq!(row(&run.take(1).unwrap()[0])["id"], 7);
    server.sql("DROP TABLE a");
    run.poll_until(|run| told(run) == 2);
    run.stop();
}

#[test]
fn a_table_that_is_locked_holds_up_neither_polls_nor_the_stop() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t DEFAULT VALUES");
    for mode in ["bulk", "incrementing"] {
        let mut run = server.query(&[("mode", mode), ("table.whitelist", "t")], &Offsets::default());
        let open = Open::begin(&server, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
        run.expect_nothing();
        // It waits for the reader's thread, and that for nothing.
        run.stop();
        open.commit();
    }
}

#[test]
fn a_refusal_that_only_the_user_can_mend_is_no_passing_failure() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t DEFAULT VALUES; CREATE ROLE poor LOGIN");
    let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=poor", server.port());
    let keys = [("mode", "incrementing"), ("table.whitelist", "t"), ("connection.url", url.as_str())];
    server.sql("GRANT SELECT ON t TO poor");
    let mut run = server.query(&keys, &Offsets::default());
    run.take(1).unwrap();
    server.sql("REVOKE SELECT ON t FROM poor");
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains("public.t") && error.message.contains("permission denied"), "{error}");
    run.stop();
}

#[test]
fn a_hot_standby_is_read_like_any_other_server() {
    let mut primary = Server::start();
    primary.sql(
        "CREATE TABLE t (id serial PRIMARY KEY, at timestamp NOT NULL DEFAULT now()); INSERT INTO t VALUES (1), (2)",
    );
    primary.stop();
    let mut standby = Server::copy_of(&primary);
    std::fs::write(standby.data().join("standby.signal"), "").unwrap();
    standby.set(&[&format!("primary_conninfo=host=127.0.0.1 port={} user=postgres", primary.port())]);
    primary.launch();
    standby.launch();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    let keys = [
        ("mode", "timestamp+incrementing"),
        ("table.whitelist", "t"),
        ("timestamp.column.name", "at"),
        ("incrementing.column.name", "id"),
    ];
    let offsets = Offsets::default();
    let mut run = standby.query(&keys, &offsets);
    // Its clock is that of the last commit that has arrived, and none has since its start.
    primary.sql("CREATE TABLE moves ()");
    assert_eq!(ids(&run.take(2).unwrap()), [1, 2]);
    run.commit().unwrap();
    primary.sql("INSERT INTO t VALUES (3); UPDATE t SET at = now() WHERE id = 1");
    let mut rows = ids(&run.take(2).unwrap());
    rows.sort_unstable();
    assert_eq!(rows, [1, 3]);
    run.stop();
}
