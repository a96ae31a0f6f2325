//! Odd names, and which tables go to which task.

use super::world::{AIVEN, ids, row};
use crate::server::Server;
use levada_connector_api::testkit::Offsets;
use serde_json::json;

#[test]
fn names_may_be_anything() {
    let server = Server::start();
    let long = "ü".repeat(31) + "x";
    for (table, column, time) in
        [("a \"b\".c,d", "i \"d", "t'm"), (long.as_str(), "Größe", "timezone"), ("SELECT", "_q", "ORDER")]
    {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        server.sql(&format!(
            "CREATE TABLE {0} ({1} int NOT NULL, {2} timestamp NOT NULL); INSERT INTO {0} VALUES (1, '2024-01-01'), (2, '2024-01-02')",
            quoted(table),
            quoted(column),
            quoted(time)
        ));
        let pattern = format!("public\\.{}", table.replace('.', "\\.").replace(',', "."));
        let keys = [
            ("mode", "timestamp+incrementing"),
            ("table.include.list", pattern.as_str()),
            ("incrementing.column.name", column),
            ("timestamp.column.name", time),
            ("db.timezone", "Europe/Rome"),
            // A name that no topic may have is refused unless something renames it.
            ("transforms", "rename"),
        ];
        let offsets = Offsets::default();
        let mut run = server.query(&keys, &offsets);
        let records = run.take(2).unwrap();
        assert_eq!(row(&records[1])[column], 2);
        assert_eq!(*records[0].topic, *format!("p-{table}"));
        run.poll_until(|run| run.pending.last().is_some_and(|last| last.offset["incrementing"] == 2));
        run.commit().unwrap();
        let partition = json!({"protocol": "1", "table": format!("public.{table}")});
        assert!(offsets.get(partition.as_object().unwrap()).is_some());
        server.sql(&format!("INSERT INTO {} VALUES (3, '2024-01-03')", quoted(table)));
        assert_eq!(row(&run.take(1).unwrap()[0])[column], 3);
        run.stop();
    }
}

#[test]
fn tables_are_chosen_and_divided() {
    let server = Server::start();
    server.sql(
        "CREATE SCHEMA s; CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE s.c (id int);
         CREATE TABLE s.p (id int) PARTITION BY RANGE (id); CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES FROM (0) TO (9);
         CREATE VIEW v AS SELECT * FROM a; CREATE TEMP TABLE hidden (id int)",
    );
    let bulk = ("mode", "bulk");
    assert_eq!(server.divided(&[bulk], 1), [r#"[["public","a"],["public","b"],["s","c"],["s","p1"]]"#]);
    assert_eq!(server.divided(&[bulk], 3), [r#"[["public","a"],["public","b"]]"#, r#"[["s","c"]]"#, r#"[["s","p1"]]"#]);
    assert_eq!(server.divided(&[bulk, ("schema.pattern", "publ_c")], 9).len(), 2);
    assert_eq!(server.divided(&[bulk, ("table.blacklist", "a,\"s\".\"c\"")], 9).len(), 2);
    assert_eq!(server.divided(&[bulk, ("table.types", "VIEW,PARTITIONED TABLE")], 9).len(), 2);
    let keys = [bulk, ("table.include.list", "s\\..*,public\\.a"), ("table.exclude.list", ".*p1")];
    assert_eq!(server.divided(&keys, 1), [r#"[["public","a"],["s","c"]]"#]);
    server.sql("DROP TABLE a CASCADE");
    assert!(server.divided(&[bulk, ("table.whitelist", "a")], 1).is_empty());
}

#[test]
fn unqualified_tables_are_those_of_the_search_path() {
    let server = Server::start();
    server.sql("CREATE SCHEMA s; CREATE TABLE t (id serial PRIMARY KEY); CREATE TABLE s.t (id serial PRIMARY KEY)");
    server.sql("INSERT INTO t VALUES (1); INSERT INTO s.t VALUES (2)");
    let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres&currentSchema=s", server.port());
    let keys = [
        ("mode", "incrementing"),
        ("table.whitelist", "t"),
        ("table.names.qualify", "false"),
        ("connection.url", url.as_str()),
    ];
    let offsets = Offsets::default();
    let mut run = server.query_of(AIVEN, &keys, &offsets);
    assert_eq!(ids(&run.take(1).unwrap()), [2]);
    run.poll_until(|run| !run.pending.is_empty());
    run.commit().unwrap();
    assert!(offsets.get(json!({"protocol": "1", "table": "t"}).as_object().unwrap()).is_some());
    run.stop();
}
