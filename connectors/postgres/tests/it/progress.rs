//! What is told of a task, and the limit of what the slot keeps.

use crate::{capture::wait_for_slot, server::Server};
use levada_connector_api::{
    ErrorKind, Progress,
    testkit::{Offsets, SourceRun},
};

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");

fn gauge(progress: &Progress, name: &str) -> Option<i64> {
    progress.gauges.iter().find(|gauge| gauge.name == format!("postgres_slot_{name}")).map(|gauge| gauge.value)
}

/// Polls until the task has told something that `is_it` likes.
fn told(run: &mut SourceRun, is_it: impl Fn(&Progress) -> bool) -> Progress {
    run.poll_until(|run| run.context.progress().is_some_and(|progress| is_it(&progress)));
    run.context.progress().unwrap()
}

#[test]
fn a_snapshot_tells_tables_rows_and_time_left_and_the_stream_its_lag() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int PRIMARY KEY, pad text);
         INSERT INTO b SELECT i, repeat('x', 200) FROM generate_series(1, 30000) i;",
    );
    server.sql("ANALYZE b");
    let offsets = Offsets::default();
    let mut run = server.source(&[("max.queue.size", "1000"), ("max.batch.size", "500")], &offsets);
    // The queue is not emptied meanwhile, so that the snapshot stands where it is and is told all the same.
    let since = std::time::Instant::now();
    run.poll().unwrap();
    while run.context.progress().and_then(|told| told.rows).is_none_or(|rows| rows.done <= 1) {
        assert!(since.elapsed() < std::time::Duration::from_secs(180), "{:?}", run.context.progress());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let progress = run.context.progress().unwrap();
    assert_eq!(progress.phase, "snapshot");
    let (tables, rows) = (progress.tables.unwrap(), progress.rows.unwrap());
    assert_eq!((tables.done, tables.total), (1, Some(2)));
    assert_eq!(rows.total, Some(30_001));
    assert!(rows.done < 10_000, "{rows:?}");
    assert!(progress.percent().unwrap() < 50.0 && progress.eta_ms.is_some(), "{progress:?}");
    assert_eq!((progress.items[0].name.as_str(), progress.items[0].rows.total), ("public.b", Some(30_000)));
    // Behind it the stream tells what the slot keeps, which falls when offsets are stored.
    let progress = told(&mut run, |told| told.phase == "streaming" && gauge(told, "active") == Some(1));
    assert!(gauge(&progress, "retained_bytes").is_some() && progress.lag_ms.is_some(), "{progress:?}");
    let status = progress.gauges.iter().find(|gauge| gauge.name == "postgres_slot_wal_status").unwrap();
    assert!(status.labels.contains(&("wal_status".to_owned(), "reserved".to_owned())), "{status:?}");
    server.sql("CREATE TABLE other AS SELECT repeat('x', 500) FROM generate_series(1, 4000)");
    let progress = told(&mut run, |told| told.lag_bytes > Some(1_000_000));
    assert!(gauge(&progress, "behind_bytes") > Some(1_000_000), "{progress:?}");
    let since = std::time::Instant::now();
    while run.context.progress().unwrap().lag_bytes > Some(1_000_000) {
        run.poll().unwrap();
        run.commit().unwrap();
        assert!(since.elapsed() < std::time::Duration::from_secs(180), "the slot does not follow");
    }
    run.stop();
}

#[test]
fn a_slot_that_keeps_too_much_is_told_once_and_let_be_by_default() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text)");
    let offsets = Offsets::default();
    let mut run = server.source(&[NO_DATA, ("slot.retained.max.bytes", "1000000")], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 4000) i");
    let progress = told(&mut run, |told| gauge(told, "retained_bytes") > Some(1_000_000));
    assert_eq!(gauge(&progress, "retained_limit_bytes"), Some(1_000_000));
    run.poll_until(|run| !run.context.warnings().is_empty());
    let looks = std::time::Instant::now();
    run.poll_until(|_| looks.elapsed() > std::time::Duration::from_secs(3));
    let warnings = run.context.warnings();
    let alerts = warnings.iter().filter(|text| text.contains("slot.retained.max.bytes=1000000")).count();
    assert_eq!(alerts, 1, "{warnings:?}");
    run.stop();
}

#[test]
fn past_the_limit_the_task_stops_and_the_slot_stays_or_goes() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text)");
    for (policy, slots) in [("pause", "1"), ("drop", "0")] {
        let offsets = Offsets::default();
        let keys = [NO_DATA, ("slot.retained.max.bytes", "1000000"), ("slot.retained.policy", policy)];
        let mut run = server.source(&keys, &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 4000) i");
        // Nothing is committed, so the slot stands still.
        let error = run.take_error();
        assert_eq!(error.kind, ErrorKind::Fatal, "{error}");
        assert!(error.message.contains("slot.retained.policy"), "{error}");
        assert_eq!(server.sql("SELECT count(*) FROM pg_replication_slots"), slots, "{policy}");
        run.stop();
        server.sql("TRUNCATE t");
    }
}

#[test]
fn behind_a_snapshot_that_nothing_follows_the_phase_is_done() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let offsets = Offsets::default();
    let mut run = server.source(&[("snapshot.mode", "initial_only")], &offsets);
    run.take(1).unwrap();
    run.commit().unwrap();
    let progress = told(&mut run, |told| told.phase == "done");
    assert_eq!(progress.lag_ms, None);
    run.stop();
}
