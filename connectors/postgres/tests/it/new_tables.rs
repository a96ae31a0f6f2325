//! Tables that are captured since a restart.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::testkit::{Offsets, SourceRun};

const KEYS: [(&str, &str); 2] =
    [("publication.autocreate.mode", "filtered"), ("incremental.snapshot.chunk.size", "10")];

fn keys(tables: &'static str, new: &'static str) -> Vec<(&'static str, &'static str)> {
    [&KEYS[..], &[("table.include.list", tables), ("snapshot.new.tables", new)]].concat()
}

/// The topics and operations of the next records, which are all of them.
fn all(run: &mut SourceRun, count: usize) -> Vec<(String, String)> {
    let records = run.take(count).unwrap();
    run.commit().unwrap();
    run.expect_nothing();
    let told = |value: serde_json::Value| value["op"].as_str().unwrap().to_owned();
    records.iter().map(|record| (record.topic.to_string(), told(json(&record.value)))).collect()
}

fn rows(table: &str, operation: &str, count: usize) -> Vec<(String, String)> {
    vec![(format!("p.public.{table}"), operation.to_owned()); count]
}

#[test]
fn a_longer_list_has_the_new_table_read_and_no_other() {
    let server = Server::start();
    for table in ["a", "b", "c"] {
        server.sql(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} SELECT generate_series(1, 25)"
        ));
    }
    let offsets = Offsets::default();
    let mut run = server.source(&keys("public.a", "incremental"), &offsets);
    assert_eq!(all(&mut run, 25), rows("a", "r", 25));
    server.sql("INSERT INTO a VALUES (100)");
    assert_eq!(all(&mut run, 1), rows("a", "c", 1));
    run.stop();
    let mut run = server.source(&keys("public.a,public.b", "incremental"), &offsets);
    let records = run.take(25).unwrap();
    assert!(records.iter().all(|record| json(&record.value)["source"]["snapshot"] == "incremental"));
    assert_eq!(records.iter().map(|record| record.topic.to_string()).collect::<Vec<_>>(), ["p.public.b"; 25]);
    run.commit().unwrap();
    server.sql("INSERT INTO b VALUES (100)");
    assert_eq!(changes(&run.take(1).unwrap()), [serde_json::json!(["c", {"id": 100}])]);
    run.commit().unwrap();
    run.stop();
    // Once: a further restart reads nothing. Off, neither a new table nor, on again, one that came meanwhile.
    for (list, new) in [("public.a,public.b", "incremental"), ("public.[abc]", "off"), ("public.[abc]", "incremental")]
    {
        let mut run = server.source(&keys(list, new), &offsets);
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO a SELECT max(id) + 1 FROM a");
        assert_eq!(all(&mut run, 1), rows("a", "c", 1), "{list} {new}");
        run.stop();
    }
}
