//! What validation finds, all at once.

use super::world::{AIVEN, CONFLUENT, connector};
use crate::server::Server;

/// Keys and texts of the errors.
fn errors(server: &Server, class: &str, keys: &[(&str, &str)]) -> Vec<(String, String)> {
    match connector(class).info().config_def.check(&server.query_config(keys)) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.0.into_iter().map(|error| (error.key, error.message)).collect(),
    }
}

#[test]
fn every_finding_is_told_at_its_key() {
    let server = Server::start();
    server.sql(
        "CREATE SCHEMA s; CREATE TABLE t (id int, at timestamp, day date NOT NULL, name text NOT NULL);
         CREATE TABLE fine (id serial PRIMARY KEY, at timestamptz NOT NULL); CREATE TABLE s.fine (id int)",
    );
    let check = |keys: &[(&str, &str)], expected: &[(&str, &str)]| {
        for class in [CONFLUENT, AIVEN] {
            let found = errors(&server, class, keys);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (key, text) in expected {
                let there = found.iter().any(|(at, message)| at == key && message.contains(text));
                assert!(there, "{key}: {text} is not in {found:?}");
            }
        }
    };
    let both = ("mode", "timestamp+incrementing");
    check(&[both, ("table.whitelist", "public.fine"), ("timestamp.column.name", "at")], &[]);
    check(
        &[
            both,
            ("table.whitelist", "t,missing"),
            ("timestamp.column.name", "at,nowhere"),
            ("incrementing.column.name", "name"),
            ("db.timezone", "Mars/Olympus"),
        ],
        &[
            ("table.whitelist", "has no table missing"),
            ("timestamp.column.name", "has no column nowhere; it has id, at, day, name"),
            ("timestamp.column.name", "must be NOT NULL"),
            ("incrementing.column.name", "is of type text; it must be a whole number"),
            ("db.timezone", "pg_timezone_names"),
        ],
    );
    check(
        &[("mode", "timestamp"), ("table.whitelist", "t"), ("timestamp.column.name", "day")],
        &[("timestamp.column.name", "it must be timestamp or timestamptz")],
    );
    check(
        &[("mode", "incrementing"), ("table.whitelist", "t")],
        &[("incrementing.column.name", "no identity or serial column")],
    );
    check(&[("mode", "bulk"), ("table.whitelist", "fine")], &[("table.whitelist", "would share the topic p-fine")]);
    check(&[("mode", "bulk"), ("schema.pattern", "none")], &[("table.blacklist", "no table of database d is chosen")]);
    server.sql("CREATE TABLE \"W eird\" (id int)");
    let weird = [("mode", "bulk"), ("table.whitelist", "W eird")];
    check(&weird, &[("table.whitelist", "the topic \"p-W eird\" of table public.W eird (topic.prefix")]);
    server.sql("DROP TABLE \"W eird\"");
    check(&[("mode", "bulk"), ("query", "SELEC 1")], &[("query", "syntax error")]);
    check(&[("mode", "bulk"), ("query", "SELECT 1 AS a, 2 AS a")], &[("query", "two columns are called a")]);
    check(
        &[("mode", "sometimes"), ("table.types", "SYNONYM"), ("batch.max.rows", "0")],
        &[("mode", "must be one of"), ("batch.max.rows", "")],
    );
    check(
        &[("mode", "timestamp"), ("query", "SELECT 1"), ("table.whitelist", "t"), ("table.types", "SYNONYM")],
        &[
            ("table.whitelist", "a connector reads tables or a query"),
            ("timestamp.column.name", "needs it"),
            ("table.types", "SYNONYM is not one of"),
        ],
    );
}

#[test]
fn a_server_that_can_not_be_asked_is_told_at_the_key_to_mend() {
    let server = Server::start();
    let url = |rest: &str| format!("jdbc:postgresql://127.0.0.1:{}/{rest}", server.port());
    for (rest, key) in [("nowhere?user=postgres", "connection.url"), ("d?user=nobody", "connection.user")] {
        let found = errors(&server, CONFLUENT, &[("mode", "bulk"), ("connection.url", &url(rest))]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, key, "{found:?}");
    }
    server.sql("CREATE TABLE t (id int); CREATE ROLE poor LOGIN");
    let found = errors(&server, CONFLUENT, &[("mode", "bulk"), ("connection.url", &url("d?user=poor"))]);
    assert!(found[0].1.contains("public.t") && found[0].1.contains("permission denied"), "{found:?}");
    let found = errors(&server, CONFLUENT, &[("mode", "bulk"), ("connection.url", "jdbc:mysql://h/d")]);
    assert!(found[0].1.contains("only PostgreSQL") && !found[0].1.contains("mysql"), "{found:?}");
    let keys = [("mode", "timestamp"), ("timestamp.column.name", "a"), ("query.suffix", "limit 5")];
    assert!(errors(&server, CONFLUENT, &keys)[0].1.contains("batch.max.rows"));
}
