//! What goes wrong around a source that runs: connections, statements, passwords, tables and publications.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    proxy::Proxy,
    server::Server,
};
use levada_connector_api::{
    ConnectorError, ErrorKind, Gauge, SourceRecord,
    testkit::{Offsets, SourceRun},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");
const HANG: Duration = Duration::from_secs(180);

/// Polls until a failure, and keeps what comes before it.
fn failure(run: &mut SourceRun, records: &mut Vec<SourceRecord>) -> ConnectorError {
    let since = Instant::now();
    loop {
        match run.poll() {
            Ok(more) => records.extend(more),
            Err(error) => return error,
        }
        assert!(since.elapsed() < HANG, "no failure came");
    }
}

/// Polls, over failures that may pass, until every one of `count` ids was seen.
fn all(run: &mut SourceRun, records: &mut Vec<SourceRecord>, count: usize) {
    let since = Instant::now();
    let mut ids = BTreeSet::new();
    let mut looked = 0;
    while ids.len() < count {
        match run.poll() {
            Ok(more) => records.extend(more),
            Err(error) => assert_eq!(error.kind, ErrorKind::Retriable, "{error}"),
        }
        run.commit().unwrap();
        ids.extend(records[looked..].iter().map(|record| json(&record.key)["id"].as_i64().unwrap()));
        looked = records.len();
        assert!(since.elapsed() < HANG, "{} of {count}, then nothing", ids.len());
    }
}

#[test]
fn a_connection_that_falls_silent_or_breaks_in_a_snapshot_is_made_anew() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text); INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i");
    let proxy = Proxy::before(server.port());
    let port = proxy.port().to_string();
    let keys = [("database.port", port.as_str()), ("database.query.timeout.ms", "2000"), ("max.queue.size", "4096")];
    let mut run = server.source(&keys, &Offsets::default());
    proxy.swallow_after(3_000_000);
    let mut records = Vec::new();
    let error = failure(&mut run, &mut records);
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    assert!(error.message.contains("database.query.timeout.ms"), "{error}");
    assert!(!records.is_empty() && records.len() < 20_000, "in the midst of it: {}", records.len());
    proxy.cut();
    all(&mut run, &mut records, 20_000);
    proxy.cut();
    server.sql("INSERT INTO t VALUES (0)");
    all(&mut run, &mut records, 20_001);
    run.stop();
}

#[test]
#[ignore = "waits for a minute and a half; part of make test-long"]
fn a_stream_that_falls_silent_is_made_anew() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let proxy = Proxy::before(server.port());
    let port = proxy.port().to_string();
    let mut run = server.source(&[NO_DATA, ("database.port", &port)], &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    let mut records = run.take(1).unwrap();
    run.commit().unwrap();
    proxy.swallow();
    server.sql("INSERT INTO t VALUES (2)");
    let error = failure(&mut run, &mut records);
    assert!(error.kind == ErrorKind::Retriable && error.message.contains("says nothing"), "{error}");
    assert_eq!(records.len(), 1);
    proxy.cut();
    all(&mut run, &mut records, 2);
    run.stop();
}

#[test]
fn statement_time_outs_of_a_role_do_not_end_a_snapshot_and_a_cancelled_statement_is_tried_again() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
         CREATE ROLE hasty LOGIN REPLICATION SUPERUSER; ALTER ROLE hasty SET statement_timeout = '300ms'",
    );
    let keys = [
        ("database.user", "hasty"),
        ("snapshot.select.statement.overrides", "public.t"),
        ("snapshot.select.statement.overrides.public.t", "SELECT * FROM t WHERE pg_sleep(6) IS NOT NULL"),
    ];
    let mut run = server.source(&keys, &Offsets::default());
    let mut records = run.poll().unwrap();
    let since = Instant::now();
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'COPY%pg_sleep%' AND state = 'active'";
    while server.sql(cancel) == "0" {
        assert!(since.elapsed() < HANG, "the table is not read");
    }
    let error = failure(&mut run, &mut records);
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    assert!(error.message.contains("public.t") && error.message.contains("57014"), "{error}");
    all(&mut run, &mut records, 1);
    run.stop();
}

#[test]
fn a_password_that_was_changed_fails_the_task_and_the_new_one_goes_on() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE app LOGIN SUPERUSER REPLICATION PASSWORD 'first'");
    let hba = "host all app 127.0.0.1/32 scram-sha-256\nhost replication app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
    std::fs::write(server.data().join("pg_hba.conf"), hba).unwrap();
    server.sql("SELECT pg_reload_conf()");
    let offsets = Offsets::default();
    let with = |password: &'static str| [NO_DATA, ("database.user", "app"), ("database.password", password)];
    let mut run = server.source(&with("first"), &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1)");
    let mut records = run.take(1).unwrap();
    run.commit().unwrap();
    server.sql("ALTER ROLE app PASSWORD 'second'");
    // Sessions that are there stay; the next one is refused.
    server.sql("INSERT INTO t VALUES (2)");
    records.extend(run.take(1).unwrap());
    run.commit().unwrap();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    let mut error = failure(&mut run, &mut records);
    let since = Instant::now();
    while error.kind == ErrorKind::Retriable {
        error = failure(&mut run, &mut records);
        assert!(since.elapsed() < HANG, "{error}");
    }
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains("28P01") && error.message.contains("database.password"), "{error}");
    assert!(!error.message.contains("first"), "{error}");
    run.stop();
    server.sql("INSERT INTO t VALUES (3)");
    let mut run = server.source(&with("second"), &offsets);
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 3}])]);
    run.stop();
}

#[test]
fn a_publication_that_is_dropped_fails_the_task_with_the_mend() {
    for server in [Server::start(), Server::newer(&[])] {
        server.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let offsets = Offsets::default();
        let mut run = server.source(&[NO_DATA], &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO t VALUES (1)");
        let mut records = run.take(1).unwrap();
        run.commit().unwrap();
        wait_for_look(&mut run);
        server.sql("DROP PUBLICATION dbz_publication");
        server.sql("INSERT INTO t VALUES (2)");
        let error = failure(&mut run, &mut records);
        assert_eq!(error.kind, ErrorKind::Fatal, "{error:?}");
        for words in ["dbz_publication", "CREATE PUBLICATION", "offsets"] {
            assert!(error.message.contains(words), "{error}");
        }
        assert_eq!(records.len(), 1);
        run.stop();
    }
}

/// Waits until the publication was looked at beside the stream: a look ends with what is told of the slot.
fn wait_for_look(run: &mut SourceRun) {
    let is_active = |gauge: &Gauge| gauge.name == "postgres_slot_active" && gauge.value == 1;
    run.poll_until(|run| run.context.progress().is_some_and(|told| told.gauges.iter().any(is_active)));
}

#[test]
fn a_table_that_is_not_published_any_more_fails_the_task_and_a_dropped_one_is_told() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    let keys = [NO_DATA, ("publication.autocreate.mode", "filtered"), ("table.include.list", "public.t,public.u")];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    wait_for_look(&mut run);
    server.sql("DROP TABLE u");
    let mut records =
        run.poll_until(|run| run.context.warnings().iter().any(|text| text.contains("\"u\" was dropped")));
    server.sql("INSERT INTO t VALUES (1)");
    all(&mut run, &mut records, 1);
    server.sql("ALTER PUBLICATION dbz_publication DROP TABLE t; INSERT INTO t VALUES (2)");
    let error = failure(&mut run, &mut records);
    assert_eq!(error.kind, ErrorKind::Fatal, "{error:?}");
    assert!(error.message.contains("ALTER PUBLICATION \"dbz_publication\" ADD TABLE \"public\".\"t\""), "{error}");
    run.stop();
}

/// As tables are exchanged: the new one has the name, and the old one is kept under another.
#[test]
fn a_table_that_is_renamed_out_of_what_is_captured_is_told_and_its_successor_comes() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    let keys = [NO_DATA, ("publication.autocreate.mode", "filtered"), ("table.include.list", "public.t,public.u")];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    wait_for_look(&mut run);
    server.sql("ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int PRIMARY KEY)");
    let told = "captured table \"public\".\"t\" is \"public\".\"t_old\" now";
    let has_come = |run: &SourceRun, text: &str| run.context.warnings().iter().any(|told| told.contains(text));
    let mut records = run.poll_until(|run| has_come(run, told) && has_come(run, "public.t is new"));
    server.sql("INSERT INTO t_old VALUES (1); INSERT INTO t VALUES (2)");
    all(&mut run, &mut records, 1);
    assert_eq!(changes(&records), [json!(["c", {"id": 2}])]);
    // The old one leaves the publication too, and another schema takes the other out of what is captured.
    server.sql("ALTER PUBLICATION dbz_publication DROP TABLE t_old; CREATE SCHEMA s; ALTER TABLE u SET SCHEMA s");
    run.poll_until(|run| has_come(run, "is \"s\".\"u\" now"));
    server.sql("INSERT INTO t VALUES (3)");
    let mut records = Vec::new();
    all(&mut run, &mut records, 1);
    run.stop();
}

#[test]
fn a_thousand_tables_are_read_and_streamed() {
    let server = Server::with(&["max_locks_per_transaction=2000", "log_statement=all"]);
    server.sql(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP
           EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, name text DEFAULT ''x'')', i);
           EXECUTE format('INSERT INTO t%s VALUES (%s)', i, i);
         END LOOP; END $$",
    );
    let mut run = server.source(&[("publication.autocreate.mode", "filtered")], &Offsets::default());
    let mut records = Vec::new();
    all(&mut run, &mut records, 1000);
    for record in &records {
        assert_eq!(
            record.topic.as_ref(),
            format!("p.public.t{}", json(&record.key)["id"]),
            "each with its own columns"
        );
    }
    assert_eq!(
        server.log().matches("FROM pg_attribute a LEFT JOIN").count(),
        10,
        "a hundred tables are asked for at once"
    );
    let statements = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'levada'";
    assert!(server.sql(statements).parse::<i32>().unwrap() <= 4, "sessions are few");
    server.sql(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('UPDATE t%s SET id = %s', i, i + 1000); END LOOP; END $$",
    );
    let mut records = Vec::new();
    all(&mut run, &mut records, 2000);
    let topics: BTreeSet<_> = records.iter().map(|record| record.topic.to_string()).collect();
    assert_eq!(topics.len(), 1000);
    run.stop();
}

#[test]
fn names_of_any_kind_and_values_at_the_edges_are_captured() {
    let server = Server::start();
    let long = "ü".repeat(31) + "x";
    assert_eq!(long.len(), 63, "the longest name that there is");
    let table = format!("\"S \"\"1\"\"\".\"{long}\"");
    server.sql(&format!(
        "CREATE SCHEMA \"S \"\"1\"\"\";
         CREATE TABLE {table} (\"select\" int PRIMARY KEY, \"Ä 'b' \\ \"\"c\"\"\" float8, \"{long}\" date, j json, \"$1\" numeric);
         INSERT INTO {table} VALUES (1, 'NaN', '0044-03-15 BC', '{{\"a\": \"\\u0000\"}}', 'NaN')"
    ));
    let keys = [
        ("publication.autocreate.mode", "filtered"),
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "isostring"),
    ];
    let mut run = server.source(&keys, &Offsets::default());
    let read = run.take(1).unwrap();
    server.sql(&format!("INSERT INTO {table} VALUES (2, '-Infinity', 'infinity', '\"\\u0000\"', '0.1')"));
    let streamed = run.take(1).unwrap();
    let column = "Ä 'b' \\ \"c\"";
    let (read, streamed) = (json(&read[0].value), json(&streamed[0].value));
    assert_eq!(read["source"]["table"], json!(long));
    assert_eq!(read["source"]["schema"], json!("S \"1\""));
    assert_eq!(streamed["source"]["table"], json!(long));
    let (before, after) = (&read["after"], &streamed["after"]);
    assert_eq!(
        (&before["select"], &before["$1"], &before["j"]),
        (&json!(1), &json!("NAN"), &json!("{\"a\": \"\\u0000\"}"))
    );
    assert_eq!(before[long.as_str()], json!("-0043-03-15Z"), "44 before Christ, as ISO 8601 counts years");
    assert!(before.get(column).is_some(), "{before}");
    assert_eq!(
        (&after["j"], &after[long.as_str()], &after["$1"]),
        (&json!("\"\\u0000\""), &json!("infinity"), &json!("0.1"))
    );
    run.stop();
}
