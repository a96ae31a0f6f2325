//! Conditions and queries of signals and of the configuration: one expression each, or they are refused.

use crate::{
    capture::wait_for_slot,
    json::{changes, json},
    server::Server,
};
use levada_connector_api::{
    ErrorKind, TaskSignal,
    testkit::{Offsets, SourceRun},
};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE x (id int PRIMARY KEY);
     INSERT INTO t VALUES (1, 'a'), (2, ')'), (3, ']')";

fn ask(run: &SourceRun, kind: &str, filter: &str) {
    let conditions = serde_json::json!([{"data-collection": "public.t", "filter": filter}]);
    let data = serde_json::json!({"type": kind, "data-collections": ["public.t"], "additional-conditions": conditions});
    let text = serde_json::json!({"type": "execute-snapshot", "data": data}).to_string();
    run.context.signal(TaskSignal { id: "s".to_owned(), text, next: None });
}

#[test]
fn what_ends_the_statement_that_it_stands_in_is_not_run() {
    let server = Server::start();
    server.sql(TABLES);
    let keys = [("snapshot.mode", "no_data"), ("signal.poll.interval.ms", "50")];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    let bad = [
        "1=1); COMMIT; DROP TABLE x; COMMIT; SELECT (1",
        "1=1) TO STDOUT; DROP TABLE x; COPY (SELECT 1",
        "id > 2) OR (true",
        "true) UNION SELECT FROM x WHERE (true",
        "true) --",
        "id",
    ];
    let query = "SELECT * FROM t) q; COMMIT; DROP TABLE x; COMMIT; SELECT 1 FROM (SELECT 1";
    let refused = bad.map(|filter| ("incremental", filter)).into_iter();
    let refused = refused.chain(bad.map(|filter| ("blocking", filter))).chain([("blocking", query)]);
    for (number, (kind, filter)) in refused.enumerate() {
        ask(&run, kind, filter);
        let count = |run: &SourceRun| {
            let warnings = run.context.warnings();
            warnings.iter().filter(|text| text.contains("given up") && text.contains("of table public.t ")).count()
        };
        let records = run.poll_until(|run| count(run) > number);
        assert!(records.is_empty(), "{kind} {filter}: {:?}", changes(&records));
        assert_eq!(server.sql("SELECT to_regclass('x')"), "x", "{kind} {filter}");
    }
    for kind in ["incremental", "blocking"] {
        ask(&run, kind, "v = ')' OR v IN (']') /* ) ] */");
        let read: Vec<_> = run.take(2).unwrap().iter().map(|record| json(&record.key)["id"].clone()).collect();
        assert_eq!(read, [2, 3], "{kind}");
    }
    run.stop();
}

#[test]
fn a_query_of_the_configuration_is_one_query() {
    let server = Server::start();
    server.sql(TABLES);
    for query in
        ["SELECT * FROM t) q) TO STDOUT; DROP TABLE x; COPY (SELECT * FROM (SELECT 1", "DELETE FROM t RETURNING *"]
    {
        let keys = [
            ("snapshot.select.statement.overrides", "public.t"),
            ("snapshot.select.statement.overrides.public.t", query),
        ];
        let mut run = server.source(&keys, &Offsets::default());
        let error = run.take_error();
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
        assert!(error.message.contains("snapshot.select.statement.overrides.public.t is no"), "{error}");
        run.stop();
        assert_eq!(server.sql("SELECT count(*) || ' ' || to_regclass('x') FROM t"), "3 x");
    }
}

#[test]
fn more_tables_than_an_offset_has_room_for_are_refused() {
    let server = Server::start();
    server.sql(TABLES);
    let keys = [("snapshot.mode", "no_data"), ("signal.poll.interval.ms", "50")];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    ask(&run, "incremental", &format!("v <> '{}'", "x".repeat(600 << 10)));
    run.poll_until(|run| {
        run.context.warnings().iter().any(|text| text.contains("signal s is not followed: more than"))
    });
    run.expect_nothing();
    run.stop();
}

#[test]
fn a_query_of_the_configuration_that_lacks_columns_is_told_with_its_key() {
    let server = Server::start();
    server.sql(TABLES);
    let key = "snapshot.select.statement.overrides.public.t";
    let keys = [("snapshot.select.statement.overrides", "public.t"), (key, "SELECT id FROM public.t")];
    let mut run = server.source(&keys, &Offsets::default());
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains(key) && error.message.contains("\"v\""), "{error}");
    run.stop();
}
