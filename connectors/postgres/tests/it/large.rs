//! Large transactions, which the server sends before their end.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{
    ConnectorError, ErrorKind, SourceRecord,
    testkit::{Offsets, SourceRun},
};
use serde_json::json;

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");

fn ids(records: &[SourceRecord]) -> Vec<i64> {
    records.iter().map(|record| json(&record.key)["id"].as_i64().unwrap()).collect()
}

fn streamed(server: &Server) -> i64 {
    server.sql("SELECT coalesce(sum(stream_count), 0) FROM pg_stat_replication_slots").parse().unwrap()
}

#[test]
fn only_what_commits_is_delivered_in_order_of_the_commits() {
    let server = Server::with(&["logical_decoding_work_mem=64kB"]);
    server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text)");
    let spills = tempfile::tempdir().unwrap();
    let keys = [NO_DATA, ("transaction.spill.directory", spills.path().to_str().unwrap())];
    let offsets = Offsets::default();
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    let insert =
        |from: i32, to: i32| format!("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series({from}, {to}) i;");
    server.sql(&format!("BEGIN; {} ROLLBACK;", insert(1, 6000)));
    server.sql("INSERT INTO t VALUES (7000, 'between')");
    server.sql(&format!(
        "BEGIN; {} SAVEPOINT a; {} SAVEPOINT b; {} ROLLBACK TO b; ROLLBACK TO a; ALTER TABLE t ADD extra int DEFAULT 5; {} COMMIT;",
        insert(1, 3000),
        insert(3001, 6000),
        insert(6001, 6900),
        "INSERT INTO t SELECT i, 'y', 9 FROM generate_series(8001, 11000) i;"
    ));
    server.sql("INSERT INTO t VALUES (12000, 'after', 1)");
    let records = run.take(6002).unwrap();
    let expected: Vec<i64> = [7000].into_iter().chain(1..=3000).chain(8001..=11_000).chain([12_000]).collect();
    assert_eq!(ids(&records), expected);
    let rows = changes(&records[3000..=3001]);
    assert_eq!(rows[0][1].get("extra"), None, "as it was before the column came");
    assert_eq!(rows[1], json!(["c", {"id": 8001, "pad": "y", "extra": 9}]));
    let source = |index: usize| json(&records[index].value)["source"].clone();
    assert_eq!(source(1)["txId"], source(6000)["txId"], "one transaction, with the time of its commit");
    assert_eq!(source(1)["ts_us"], source(6000)["ts_us"]);
    assert_eq!(std::fs::read_dir(spills.path()).unwrap().count(), 0);
    run.commit().unwrap();
    run.stop();
    // What the server counts is written down when the session ends.
    let since = std::time::Instant::now();
    while streamed(&server) == 0 {
        assert!(since.elapsed() < std::time::Duration::from_secs(180), "nothing came in parts: the test shows nothing");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_large_transaction_half_stored_goes_on_at_its_next_event() {
    for streaming in ["on", "off"] {
        let server = Server::with(&["logical_decoding_work_mem=64kB"]);
        server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text)");
        let offsets = Offsets::default();
        let params = format!("streaming={streaming}");
        let keys = [NO_DATA, ("max.batch.size", "100"), ("max.queue.size", "100"), ("slot.stream.params", &params)];
        let mut run = server.source(&keys, &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i");
        let mut records = Vec::new();
        while records.len() < 1000 {
            records.extend(run.poll().unwrap());
            run.commit().unwrap();
        }
        assert!(records.len() < 5000, "in the midst of it");
        run.stop();
        let mut run = server.source(&keys, &offsets);
        let left = 5000 - records.len();
        records.extend(run.take(left).unwrap());
        assert_eq!(ids(&records), (1..=5000).collect::<Vec<_>>(), "nothing twice, nothing missing, {streaming}");
        run.stop();
    }
}

#[test]
fn a_transaction_half_stored_goes_on_though_another_committed_meanwhile() {
    for streaming in ["on", "off"] {
        let server = Server::with(&["logical_decoding_work_mem=64kB"]);
        server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text); CREATE TABLE short (id int PRIMARY KEY)");
        let offsets = Offsets::default();
        let params = format!("streaming={streaming}");
        let keys = [NO_DATA, ("max.batch.size", "100"), ("max.queue.size", "100"), ("slot.stream.params", &params)];
        let mut run = server.source(&keys, &offsets);
        wait_for_slot(&server, &mut run);
        std::thread::scope(|scope| {
            // Its rows lie in the log before the end of the short one, its own end behind that.
            let long = scope.spawn(|| {
                server.sql(
                    "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i;
                     DO $$BEGIN WHILE NOT EXISTS (SELECT FROM short) LOOP PERFORM pg_sleep(0.05); END LOOP; END$$",
                )
            });
            let written = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            run.poll_until(|_| server.sql(written) == "1");
            server.sql("INSERT INTO short VALUES (1)");
            long.join().unwrap();
        });
        let mut records = Vec::new();
        let mut until = |run: &mut SourceRun, count| {
            while records.len() < count {
                records.extend(run.poll().unwrap().into_iter().filter(|record| record.topic.as_ref() == "p.public.t"));
                run.commit().unwrap();
            }
            records.len()
        };
        assert!(until(&mut run, 1000) < 5000, "in the midst of it");
        run.stop();
        let mut run = server.source(&keys, &offsets);
        until(&mut run, 5000);
        run.expect_nothing();
        assert_eq!(ids(&records), (1..=5000).collect::<Vec<_>>(), "nothing twice, nothing missing, {streaming}");
        run.stop();
    }
}

/// A row with a value above the limit, in the snapshot and in the stream: refused with all that finds it, or left out.
fn refused_by_policy(bytes: usize, limit: usize) {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'small')");
    let large = |id: i32| {
        server.sql(&format!("INSERT INTO t VALUES ({id}, repeat('x', {bytes}))"));
    };
    large(2);
    let most = limit.to_string();
    let keys = [("max.value.bytes", most.as_str())];
    let names = |error: &ConnectorError, id: i32| {
        assert_eq!(error.kind, ErrorKind::Data, "{error}");
        for words in [
            "column v of table public.t".to_owned(),
            format!("id={id}"),
            format!("{bytes} bytes"),
            format!("max.value.bytes={limit}"),
        ] {
            assert!(error.message.contains(&words), "{error}");
        }
    };
    let mut run = server.source(&keys, &Offsets::default());
    names(&run.take_error(), 2);
    run.stop();
    server.drop_slot();
    let keys = [keys[0], ("event.processing.failure.handling.mode", "warn")];
    let mut run = server.source(&keys, &Offsets::default());
    assert_eq!(ids(&run.take(1).unwrap()), [1], "the snapshot without the row");
    large(3);
    server.sql("INSERT INTO t VALUES (4, 'small')");
    assert_eq!(ids(&run.take(1).unwrap()), [4], "the stream without the row");
    let warned = run.context.warnings();
    for id in ["id=2", "id=3"] {
        assert!(
            warned.iter().any(|text| text.contains(id) && text.contains("column v of table public.t")),
            "{warned:?}"
        );
    }
    run.stop();
    let offsets = Offsets::default();
    server.drop_slot();
    let mut run = server.source(&[keys[0], NO_DATA], &offsets);
    wait_for_slot(&server, &mut run);
    large(5);
    names(&run.take_error(), 5);
    run.stop();
}

#[test]
fn a_value_above_the_limit_is_refused_with_its_place() {
    refused_by_policy(64_000_000, 1_000_000);
}

#[test]
#[ignore = "values of a gigabyte; part of make test-long"]
fn a_value_as_large_as_the_server_can_send_is_refused_with_its_place() {
    refused_by_policy(1_073_000_000, 67_108_864);
}

pub fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// The name of the environment's mark of a process that runs one test.
const ALONE: &str = "LEVADA_TEST_ALONE";

/// Whether this process runs one test; when it does not, the ignored test of this name has been run in one that does.
/// Memory is a process's: the tests beside one have a share in it.
pub fn alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let test = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(ALONE, "1")
        .status();
    assert!(test.unwrap().success());
    false
}

#[test]
#[ignore = "writes some GB; part of make test-long"]
fn half_a_gigabyte_in_one_transaction_takes_little_memory() {
    if !alone("large::half_a_gigabyte_in_one_transaction_takes_little_memory") {
        return;
    }
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, pad text)");
    let offsets = Offsets::default();
    let mut run = server.source(&[NO_DATA, ("max.queue.size.in.bytes", "16777216")], &offsets);
    wait_for_slot(&server, &mut run);
    let before = resident_megabytes();
    server.sql("INSERT INTO t SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 500000) i");
    let (mut seen, mut most) = (0, 0);
    let since = std::time::Instant::now();
    while seen < 500_000 {
        seen += run.poll().unwrap().len();
        run.commit().unwrap();
        most = most.max(resident_megabytes());
        assert!(since.elapsed() < std::time::Duration::from_secs(600), "{seen} of 500000");
    }
    println!("{before} MB before, {most} MB at most, {} s", since.elapsed().as_secs());
    assert!(most < 150, "{before} MB before, {most} MB at most");
    run.stop();
}
