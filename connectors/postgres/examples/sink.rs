//! Measures the sink alone: rows of eight columns by insert and upsert, in batches of several sizes.
//!
//! `cargo run --release -p levada-connector-postgres --example sink [ROWS]` starts a server of its own and prints rows per
//! second and this process's CPU time, beside COPY and multi-row upserts of the same rows by psql.

mod measure;
#[path = "../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod server;

use levada_connector_api::{
    Config, Field, Headers, Schema, SchemaType, SinkRecord, TimestampType, TopicPartition, Value, logical,
    testkit::{GroupOffsets, SinkRun},
};
use measure::{cpu, report};
use server::Server;
use std::{sync::Arc, time::Instant};

const COLUMNS: &str =
    "(id bigint PRIMARY KEY, name text, n int, price numeric, at timestamptz, doc json, ok bool, uid uuid)";

fn main() {
    let rows: usize = std::env::args().nth(1).map_or(200_000, |text| text.parse().unwrap());
    let server = Server::with(&["max_wal_size=4GB"]);
    server.sql(&format!("CREATE TABLE t {COLUMNS}"));
    let records = records(rows);
    by_psql(&server, rows);
    for (mode, batch, again) in [
        ("insert", 5000, false),
        ("upsert", 5000, false),
        ("upsert", 5000, true),
        ("upsert", 1000, false),
        ("upsert", 300, false),
        ("upsert", 300, true),
        ("upsert", 50, false),
        ("insert", 50, false),
        ("upsert", 1, false),
    ] {
        if !again {
            server.sql("TRUNCATE t");
        }
        let used = if batch == 1 { &records[..rows.min(5000)] } else { &records[..] };
        let mut sink = start(&server, mode);
        let (started, before) = (Instant::now(), cpu());
        for piece in used.chunks(batch) {
            sink.put(piece).unwrap();
        }
        let what = format!("{mode}{} by {batch}", if again { " again" } else { "" });
        report(&what, used.len(), started.elapsed(), cpu() - before);
        sink.stop();
        assert_eq!(server.sql("SELECT count(*) FROM t"), used.len().to_string());
    }
}

fn by_psql(server: &Server, rows: usize) {
    let file = server.data().join("rows");
    let file = file.to_str().unwrap();
    server.sql(&format!(
        "INSERT INTO t SELECT i, 'name ' || i, i, i * 1.25, to_timestamp(1.7e9 + i), '{{\"a\": 1}}',
         i % 2 = 0, gen_random_uuid() FROM generate_series(1, {rows}) i; COPY t TO '{file}'; TRUNCATE t"
    ));
    let started = Instant::now();
    server.sql(&format!("COPY t FROM '{file}'"));
    report("COPY by psql", rows, started.elapsed(), 0.0);
    server.sql("TRUNCATE t");
    // What a JDBC sink sends with rewritten batches.
    let mut script = String::new();
    for first in (0..rows.min(50_000)).step_by(1000) {
        let row = |i: usize| {
            format!(
                "({i},'name {i}',{i},{i}.25,'2024-02-29T10:34:56Z','{{\"a\": 1}}',true,'76019d1a-ad2e-4b22-96e9-1a6d6543c818')"
            )
        };
        let values: Vec<_> = (first..first + 1000).map(row).collect();
        let statement = format!(
            "INSERT INTO t VALUES {} ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, n = EXCLUDED.n, \
             price = EXCLUDED.price, at = EXCLUDED.at, doc = EXCLUDED.doc, ok = EXCLUDED.ok, uid = EXCLUDED.uid;\n",
            values.join(",")
        );
        script.push_str(&statement);
    }
    let path = std::env::temp_dir().join(format!("levada-sink-{}.sql", std::process::id()));
    std::fs::write(&path, script).unwrap();
    let started = Instant::now();
    let port = server.port().to_string();
    let mut psql = std::process::Command::new("psql");
    psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "d", "-qX", "-f"]).arg(&path);
    assert!(psql.status().unwrap().success());
    report("multi-row upserts by psql", rows.min(50_000), started.elapsed(), 0.0);
    std::fs::remove_file(path).unwrap();
    server.sql("TRUNCATE t");
}

fn start(server: &Server, mode: &str) -> SinkRun {
    let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres", server.port());
    let keys = [("connection.url", url.as_str()), ("insert.mode", mode), ("primary.key.mode", "record_key")];
    let config: Config = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    let mut connector = levada_connector_postgres::sinks()[0]();
    SinkRun::start(&mut *connector, config, &[partition], &GroupOffsets::new()).unwrap()
}

fn records(rows: usize) -> Vec<SinkRecord> {
    let plain = |name: &str, kind| Field { name: name.to_owned(), schema: Arc::new(Schema::new(kind).optional()) };
    let named = |field: &str, kind, name: &str, scale: Option<&str>| {
        let mut schema = Schema::new(kind).optional().named(name);
        schema.parameters.extend(scale.map(|scale| ("scale".to_owned(), scale.to_owned())));
        Field { name: field.to_owned(), schema: Arc::new(schema) }
    };
    let mut schema = Schema::new(SchemaType::Struct);
    schema.fields = vec![
        plain("id", SchemaType::Int64),
        plain("name", SchemaType::String),
        plain("n", SchemaType::Int32),
        named("price", SchemaType::Bytes, logical::DECIMAL, Some("2")),
        named("at", SchemaType::String, "io.debezium.time.ZonedTimestamp", None),
        named("doc", SchemaType::String, "io.debezium.data.Json", None),
        plain("ok", SchemaType::Boolean),
        named("uid", SchemaType::String, "io.debezium.data.Uuid", None),
    ];
    let schema = Arc::new(schema);
    let key_schema = Arc::new(Schema::structure([("id", Arc::new(Schema::new(SchemaType::Int64)))]));
    let structure = |schema: &Arc<Schema>, values| Value::structure(Arc::clone(schema), values);
    let record = |at: usize| {
        let values = vec![
            Value::Int64(at as i64),
            Value::string(format!("name {at}")),
            Value::Int32(at as i32),
            Value::Bytes((at as i64 * 125).to_be_bytes().to_vec().into()),
            Value::string("2024-02-29T10:34:56.123456Z"),
            Value::string("{\"a\": 1}"),
            Value::Boolean(at.is_multiple_of(2)),
            Value::string(format!("76019d1a-ad2e-4b22-96e9-{at:012x}")),
        ];
        SinkRecord {
            topic: "t".into(),
            partition: 0,
            offset: at as i64,
            key_schema: Some(Arc::clone(&key_schema)),
            key: structure(&key_schema, vec![Value::Int64(at as i64)]),
            value_schema: Some(Arc::clone(&schema)),
            value: structure(&schema, values),
            timestamp: 0,
            timestamp_type: TimestampType::CreateTime,
            headers: Headers::new(),
            original_topic: None,
        }
    };
    (0..rows).map(record).collect()
}
