//! The first snapshot beside the stream.

use crate::{json::json, server::Server, signals::apply};
use levada_connector_api::{
    SourceRecord,
    testkit::{Offsets, SourceRun},
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const KEYS: [(&str, &str); 3] =
    [("snapshot.while.streaming", "true"), ("incremental.snapshot.chunk.size", "100"), ("max.batch.size", "100")];

/// Time behind which something hangs.
const HANG: Duration = Duration::from_secs(180);

/// Operation and mark of a record's source.
fn marks(record: &SourceRecord) -> (String, String) {
    let value = json(&record.value);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (text(&value["op"]), text(&value["source"]["snapshot"]))
}

fn is_chunked(record: &SourceRecord) -> bool {
    marks(record) == ("r".to_owned(), "incremental".to_owned())
}

fn has_progress(offsets: &Offsets) -> bool {
    let partition = serde_json::json!({"server": "p"}).as_object().unwrap().clone();
    offsets.get(&partition).is_some_and(|offset| offset.contains_key("levada_incremental"))
}

#[test]
fn changes_come_between_the_rows_and_a_restart_goes_on_behind_the_last_chunk() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i");
    let offsets = Offsets::default();
    let mut run = server.source(&KEYS, &offsets);
    let (mut state, over) = (BTreeMap::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (server, over) = (&server, &over);
        scope.spawn(move || {
            for round in (1..400).take_while(|_| !over.load(Ordering::SeqCst)) {
                server.sql(&format!(
                    "UPDATE t SET v = v + 1 WHERE id % 70 = {}; DELETE FROM t WHERE id = {round};
                     UPDATE t SET id = id + 100000 WHERE id = 3000 - {round};",
                    round % 70
                ));
            }
        });
        let (mut reads, mut changes) = (0, 0);
        while reads < 1000 || changes == 0 {
            let records = run.poll().unwrap();
            reads += records.iter().filter(|record| is_chunked(record)).count();
            changes += records.iter().filter(|record| marks(record).1 == "false").count();
            apply(&mut state, &records);
            run.commit().unwrap();
            assert!(reads < 2900, "the changes wait for the snapshot");
        }
        assert!(has_progress(&offsets), "in the midst of it");
        run.stop();
        let mut run = server.source(&KEYS, &offsets);
        let mut again = 0;
        while again == 0 || has_progress(&offsets) {
            let records = run.poll().unwrap();
            again += records.iter().filter(|record| is_chunked(record)).count();
            apply(&mut state, &records);
            run.commit().unwrap();
        }
        assert!(again < 2500, "what was read is not read again: {again}");
        over.store(true, Ordering::SeqCst);
        until_equal(server, &mut run, &mut state);
        run.stop();
        // The snapshot is over: a further restart reads nothing.
        let mut run = server.source(&KEYS, &offsets);
        server.sql("INSERT INTO t VALUES (-1, 1)");
        until(&mut run, |_, records| {
            assert!(!records.iter().any(is_chunked));
            records.iter().any(|record| json(&record.key)["id"] == -1)
        });
        run.stop();
    });
}

/// Applies records until the state is the table.
fn until_equal(server: &Server, run: &mut SourceRun, state: &mut BTreeMap<i64, i64>) {
    until(run, |_, records| {
        apply(state, records);
        let shown = format!("{}|{}", state.len(), state.iter().map(|(id, v)| id * (v + 1)).sum::<i64>());
        records.is_empty() && shown == server.sql("SELECT count(*), sum(id::bigint * (v + 1)) FROM t")
    });
}

/// Polls until the records that came last are what is waited for.
fn until(run: &mut SourceRun, mut is_it: impl FnMut(&mut SourceRun, &[SourceRecord]) -> bool) {
    let since = Instant::now();
    loop {
        let records = run.poll().unwrap();
        if is_it(run, &records) {
            return;
        }
        assert!(since.elapsed() < HANG, "it never came");
    }
}

#[test]
fn tables_without_an_order_are_read_before_and_what_is_left_out_stays_out() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 250);
         CREATE TABLE keyless (n int); INSERT INTO keyless SELECT generate_series(1, 30);
         CREATE TABLE chosen (id int PRIMARY KEY); INSERT INTO chosen SELECT generate_series(1, 30);
         CREATE TABLE grouped (id int PRIMARY KEY, g int NOT NULL);
         INSERT INTO grouped SELECT i, i % 2 FROM generate_series(1, 300) i;
         CREATE TABLE left_out (id int PRIMARY KEY); INSERT INTO left_out VALUES (1)",
    );
    let keys = [
        &KEYS[..],
        &[
            ("snapshot.include.collection.list", r"public\.a,public\.keyless,public\.chosen,public\.grouped"),
            // It tells no row from another: chunks by it would leave rows out.
            ("message.key.columns", "public.grouped:g"),
            ("snapshot.select.statement.overrides", "public.chosen"),
            ("snapshot.select.statement.overrides.public.chosen", "SELECT * FROM chosen WHERE id <= 20"),
        ],
    ]
    .concat();
    let offsets = Offsets::default();
    // Without a commit nothing of it counts, and all of it comes again.
    for _ in 0..2 {
        let mut run = server.source(&keys, &offsets);
        let records = run.take(600).unwrap();
        let told: Vec<_> = records.iter().map(|record| (record.topic.to_string(), is_chunked(record))).collect();
        let mut whole = told[..350].to_vec();
        whole.sort();
        let rows = |table: &str, count, chunked| vec![(format!("p.public.{table}"), chunked); count];
        assert_eq!(
            whole,
            [rows("chosen", 20, false), rows("grouped", 300, false), rows("keyless", 30, false)].concat()
        );
        assert_eq!(told[350..], rows("a", 250, true));
        run.expect_nothing();
        run.stop();
    }
    let mut run = server.source(&keys, &offsets);
    // In the midst of what is read before: the rest of it comes, and the chunks behind it.
    until(&mut run, |_, records| !records.is_empty());
    run.commit().unwrap();
    run.stop();
    let mut run = server.source(&keys, &offsets);
    let mut chunked = 0;
    until(&mut run, |run, records| {
        chunked += records.iter().filter(|record| is_chunked(record)).count();
        run.commit().unwrap();
        chunked == 250 && !has_progress(&offsets)
    });
    server.sql("INSERT INTO left_out VALUES (2)");
    assert_eq!(marks(&run.take(1).unwrap()[0]), ("c".to_owned(), "false".to_owned()));
    run.stop();
}
