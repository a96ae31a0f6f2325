//! A table of a real PostgreSQL server through the daemon into a topic, from a configuration as Debezium's users post it.

use crate::{
    http::request,
    node::{eventually, free_port, post, start},
    postgres_server::Server,
};
use serde_json::{Value, json};
use std::fs;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debezium_configuration_captures_a_table_over_a_restart() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY, name text, price numeric(6,2)); INSERT INTO t VALUES (1, 'old', 1.50)",
    );
    let home = tempfile::tempdir().unwrap();
    let (data, output) = (home.path().join("data"), home.path().join("out.json"));
    let rest = format!("127.0.0.1:{}", free_port());
    let node = start(&data, &rest).await.unwrap();
    let source = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "topic.prefix": "shop",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": server.port().to_string(),
        "database.user": "postgres",
        "database.password": "unused",
        "database.dbname": "d",
        "table.include.list": "public.t",
        "publication.autocreate.mode": "filtered",
        "decimal.handling.mode": "string",
        "key.converter": JSON, "key.converter.schemas.enable": "false",
        "value.converter": JSON, "value.converter.schemas.enable": "false",
    });
    post(&rest, "shop", source).await;
    let sink = json!({
        "connector.class": "FileStreamSink", "file": output, "topics": "shop.public.t",
        "key.converter": STRING, "value.converter": STRING,
    });
    post(&rest, "lines", sink).await;
    let has = |count: usize| {
        let output = output.clone();
        move || {
            let output = output.clone();
            async move { fs::read_to_string(&output).unwrap_or_default().lines().count() >= count }
        }
    };
    eventually("the snapshot arrives", has(1)).await;
    server.sql("UPDATE t SET name = 'new'");
    eventually("the change arrives", has(2)).await;
    let tables = json!({ "data-collections": ["public.t"] });
    let (status, body) = request(&rest, "POST", "/v1/connectors/shop/snapshot", Some(&tables)).await;
    assert_eq!(status, 202, "{body}");
    eventually("the table is read anew", has(3)).await;
    let (status, _) = request(&rest, "POST", "/v1/connectors/lines/snapshot", Some(&tables)).await;
    assert_eq!(status, 501);
    node.stop().await;
    server.sql("INSERT INTO t VALUES (2, 'while stopped', 2)");
    let node = start(&data, &rest).await.unwrap();
    eventually("what happened while it was stopped arrives", has(4)).await;
    node.stop().await;
    let text = fs::read_to_string(&output).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows: Vec<_> = events.iter().map(|event| (event["op"].as_str().unwrap(), event["after"].clone())).collect();
    let row = |id: i32, name: &str, price: &str| json!({"id": id, "name": name, "price": price});
    assert_eq!(
        rows,
        [
            ("r", row(1, "old", "1.50")),
            ("u", row(1, "new", "1.50")),
            ("r", row(1, "new", "1.50")),
            ("c", row(2, "while stopped", "2.00"))
        ]
    );
    assert_eq!(events[0]["source"]["snapshot"], "last");
    assert_eq!(events[1]["source"]["db"], "d");
}

/// An example, on a test's server.
fn example(text: &str, server: &Server, changes: &[(&str, &str)]) -> (String, Value) {
    let mut example: Value = serde_json::from_str(text).unwrap();
    for (key, value) in changes {
        example["config"][*key] = json!(value.replace("PORT", &server.port().to_string()));
    }
    (example["name"].as_str().unwrap().to_owned(), example["config"].take())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_the_query_source_follows_its_tables_over_restarts_and_finds_new_ones() {
    let server = Server::start();
    server.psql("postgres", "CREATE DATABASE copy TEMPLATE postgres");
    let table = |name: &str| {
        server.sql(&format!(
            "CREATE TABLE {name} (id serial PRIMARY KEY, price numeric(8,2), changed timestamptz NOT NULL DEFAULT now());
             INSERT INTO {name} (price) SELECT i * 1.25 FROM generate_series(1, 300) i"
        ));
    };
    table("orders");
    table("customers");
    let (name, source) = example(
        include_str!("../../../examples/postgres/query.json"),
        &server,
        &[
            ("connection.url", "jdbc:postgresql://127.0.0.1:PORT/d"),
            ("poll.interval.ms", "100"),
            ("table.poll.interval.ms", "300"),
        ],
    );
    let sink = json!({
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "topics.regex": "shop-.*",
        "connection.url": format!("jdbc:postgresql://127.0.0.1:{}/copy", server.port()), "connection.user": "postgres",
        "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id", "auto.create": "true",
        "key.converter": JSON, "value.converter": JSON, "consumer.override.metadata.max.age.ms": "500",
    });
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let rest = format!("127.0.0.1:{}", free_port());
    let server = &server;
    let arrived = |name: &'static str| {
        move || async move {
            let rows = |table: &str| {
                format!(
                    "SELECT count(*) || ' ' || round(sum(price)::numeric, 2) || ' ' || floor(max(extract(epoch FROM changed))) FROM {table}"
                )
            };
            let copy = format!("\"shop-{name}\"");
            server.psql("copy", &format!("SELECT to_regclass('{copy}') IS NOT NULL")) == "t"
                && server.psql("copy", &rows(&copy)) == server.sql(&rows(name))
        }
    };
    let node = start(&data, &rest).await.unwrap();
    post(&rest, &name, source).await;
    post(&rest, "copy", sink).await;
    eventually("both tables are in the other database", arrived("orders")).await;
    eventually("both tables are in the other database", arrived("customers")).await;
    server.sql("UPDATE orders SET price = price + 1, changed = now() WHERE id % 2 = 0");
    table("items");
    eventually("changes are there", arrived("orders")).await;
    eventually("and the new table", arrived("items")).await;
    node.stop().await;
    server.sql("UPDATE customers SET price = 0, changed = now() WHERE id < 50; DROP TABLE orders");
    let node = start(&data, &rest).await.unwrap();
    eventually("what happened while it was stopped is there", arrived("customers")).await;
    server.sql("INSERT INTO items (price) VALUES (7)");
    eventually("the dropped table holds up nothing", arrived("items")).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_copy_a_table_into_another_database_over_restarts() {
    let server = Server::start();
    server.psql("postgres", "CREATE DATABASE copy TEMPLATE postgres");
    server.sql(
        "CREATE TABLE orders (id serial PRIMARY KEY, customer text, price numeric(8,2), tags text[], took interval,
           at timestamptz DEFAULT now(), doc jsonb);
         INSERT INTO orders (customer, price, tags, took, doc)
           SELECT 'c' || i, i * 1.25, ARRAY['a,b', i::text], i * '1 day 2 hours'::interval, '{\"k\": 1.50}'
           FROM generate_series(1, 500) i",
    );
    let (source_name, source) = example(
        include_str!("../../../examples/postgres/source.json"),
        &server,
        &[("database.port", "PORT"), ("database.dbname", "d")],
    );
    let (sink_name, sink) = example(
        include_str!("../../../examples/postgres/sink.json"),
        &server,
        &[("connection.url", "jdbc:postgresql://127.0.0.1:PORT/copy")],
    );
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let rest = format!("127.0.0.1:{}", free_port());
    let rows = "SELECT md5(coalesce(string_agg(o::text, '|' ORDER BY id), '')) FROM orders o";
    let server = &server;
    let arrived = || async {
        server.psql("copy", "SELECT to_regclass('orders') IS NOT NULL") == "t"
            && server.psql("copy", rows) == server.sql(rows)
    };
    let node = start(&data, &rest).await.unwrap();
    post(&rest, &source_name, source).await;
    post(&rest, &sink_name, sink).await;
    eventually("the snapshot is in the other database", arrived).await;
    server.sql("UPDATE orders SET price = price + 1, doc = NULL WHERE id % 2 = 0; DELETE FROM orders WHERE id % 5 = 0");
    server.sql("ALTER TABLE orders ADD COLUMN note text; INSERT INTO orders (note) VALUES ('grown')");
    eventually("changes and the new column are there", arrived).await;
    node.stop().await;
    server.sql("UPDATE orders SET note = 'while stopped' WHERE id < 50");
    let node = start(&data, &rest).await.unwrap();
    eventually("what happened while it was stopped is there", arrived).await;
    let offsets = "SELECT connector || ' ' || topic || ' ' || epoch FROM connect_offsets WHERE next_offset > 0";
    assert_eq!(server.psql("copy", offsets), "copy shop.public.orders 2");
    node.stop().await;
    // As if the other database came back from a backup of its first day: the topic has everything since.
    server.psql("copy", "DELETE FROM orders; UPDATE connect_offsets SET next_offset = 0");
    let node = start(&data, &rest).await.unwrap();
    eventually("what the restored database lacks is there again", arrived).await;
    assert_eq!(server.psql("copy", offsets), "copy shop.public.orders 3");
    node.stop().await;
}
