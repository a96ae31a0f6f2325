//! Queries of the user's own.

use super::world::{ids, row};
use crate::server::Server;
use levada_connector_api::testkit::Offsets;
use serde_json::json;

fn prepare(server: &Server) {
    server.sql(
        "CREATE TABLE o (id serial PRIMARY KEY, customer int NOT NULL, at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE c (number int PRIMARY KEY, name text NOT NULL);
         INSERT INTO c VALUES (1, 'one'), (2, 'two'); INSERT INTO o (customer) VALUES (1), (2), (3), (1)",
    );
}

#[test]
fn a_query_is_read_in_every_mode() {
    let server = Server::start();
    prepare(&server);
    let query =
        "SELECT o.id, c.name, o.at FROM o LEFT JOIN c ON c.number = o.customer WHERE o.id <> 2; -- with a comment";
    let query = query.replace(';', "");
    for mode in ["bulk", "incrementing", "timestamp", "timestamp+incrementing"] {
        let offsets = Offsets::default();
        let keys =
            [("mode", mode), ("query", query.as_str()), ("timestamp.column.name", "at"), ("topic.prefix", "orders")];
        let mut run = server.query(&keys, &offsets);
        let records = run.take(3).unwrap();
        let mut all = ids(&records);
        all.sort_unstable();
        assert_eq!(all, [1, 3, 4], "{mode}");
        assert_eq!(&*records[0].topic, "orders");
        let schema = records[0].value_schema.as_ref().unwrap();
        assert!(schema.name.is_none() && schema.fields.iter().all(|field| field.schema.optional));
        let third = records.iter().find(|record| row(record)["id"] == 3).unwrap();
        assert!(row(third)["name"].is_null(), "what an outer join leaves out");
        if mode != "bulk" {
            run.poll_until(|run| !run.pending.is_empty());
            run.commit().unwrap();
            let offset = offsets.get(json!({"query": "query"}).as_object().unwrap()).unwrap();
            assert_eq!(offset.get("incrementing").is_some(), mode.contains("incrementing"));
            server.sql("INSERT INTO o (customer) VALUES (2)");
            let next = run.take(1).unwrap();
            assert_eq!(row(&next[0])["name"], "two");
            run.stop();
            server.sql("DELETE FROM o WHERE id > 4");
        } else {
            run.stop();
        }
    }
}

#[test]
fn rows_of_one_number_come_whole() {
    let server = Server::start();
    prepare(&server);
    server.sql("CREATE TABLE i (o int, item text); INSERT INTO i SELECT 1, 'i' || n FROM generate_series(1, 25) n");
    let offsets = Offsets::default();
    let keys = [
        ("mode", "incrementing"),
        ("query", "SELECT o.id, i.item FROM o JOIN i ON i.o = o.id"),
        ("incrementing.column.name", "id"),
        ("batch.max.rows", "10"),
        ("topic.prefix", "items"),
    ];
    let mut run = server.query(&keys, &offsets);
    run.take(10).unwrap();
    run.commit().unwrap();
    assert!(offsets.is_empty(), "fifteen rows of the same number are left");
    run.stop();
    let mut run = server.query(&keys, &offsets);
    run.take(25).unwrap();
    run.poll_until(|run| !run.pending.is_empty());
    run.commit().unwrap();
    assert_eq!(offsets.len(), 1);
    run.stop();
}

#[test]
fn a_suffix_ends_each_query() {
    let server = Server::start();
    prepare(&server);
    let keys = [("mode", "incrementing"), ("table.whitelist", "o"), ("query.suffix", "LIMIT 3")];
    let mut run = server.query(&keys, &Offsets::default());
    let first = run.poll_until(|run| !run.pending.is_empty());
    assert_eq!(ids(&first), [1, 2, 3]);
    assert_eq!(ids(&run.take(1).unwrap()), [4], "the next reading goes on");
    run.stop();
}
