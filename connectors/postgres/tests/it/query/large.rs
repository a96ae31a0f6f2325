//! Large tables, in little memory.

use crate::{
    large::{alone, resident_megabytes},
    server::Server,
};
use levada_connector_api::testkit::Offsets;
use std::time::{Duration, Instant};

#[test]
#[ignore = "writes some 100 MB; part of make test-long"]
fn a_million_rows_take_little_memory_however_slow_the_log_is() {
    if !alone("query::large::a_million_rows_take_little_memory_however_slow_the_log_is") {
        return;
    }
    let server = Server::start();
    server.sql("CREATE TABLE t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, name text, doc jsonb)");
    server.sql("INSERT INTO t (at, name, doc) SELECT now() - i * interval '1 second', repeat('x', 100), '{\"a\": 1}' FROM generate_series(1, 1000000) i");
    for mode in ["bulk", "incrementing", "timestamp+incrementing"] {
        let keys = [("mode", mode), ("table.whitelist", "t"), ("timestamp.column.name", "at")];
        let before = resident_megabytes();
        let mut run = server.query(&keys, &Offsets::default());
        let (mut seen, mut most, since) = (0, 0, Instant::now());
        while seen < 1_000_000 {
            seen += run.poll().unwrap().len();
            run.commit().unwrap();
            if seen == 10_000 {
                // What is not taken must not pile up.
                std::thread::sleep(Duration::from_secs(2));
            }
            most = most.max(resident_megabytes());
            assert!(since.elapsed() < Duration::from_secs(600), "{seen} of 1000000");
        }
        println!("{mode}: {before} MB before, {most} MB at most, {} s", since.elapsed().as_secs());
        assert!(most < 150, "{mode}: {before} MB before, {most} MB at most");
        run.stop();
    }
}
