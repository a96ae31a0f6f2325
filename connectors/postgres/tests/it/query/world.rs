//! Query sources on a test's server.

use crate::{json::json, server::Server};
use levada_connector_api::{
    Config, ConnectorContext, SourceConnector, SourceRecord,
    testkit::{Offsets, SourceRun},
};
use levada_connector_postgres::sources;
use serde_json::Value as Json;

/// The class that a configuration may name.
pub fn connector(class: &str) -> Box<dyn SourceConnector> {
    let mut all = sources().into_iter().map(|make| make());
    all.find(|connector| connector.info().class == class).expect("a source of that class")
}

pub const CONFLUENT: &str = "io.confluent.connect.jdbc.JdbcSourceConnector";
pub const AIVEN: &str = "io.aiven.connect.jdbc.JdbcSourceConnector";

impl Server {
    /// A configuration with further keys.
    pub fn query_config(&self, keys: &[(&str, &str)]) -> Config {
        let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres", self.port());
        let given = [
            ("name", "test"),
            ("connection.url", url.as_str()),
            ("topic.prefix", "p-"),
            ("poll.interval.ms", "50"),
            ("connection.attempts", "1"),
        ];
        given.iter().chain(keys).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// Starts the first task of a source, as the runtime does; its only one where there is one table.
    pub fn query(&self, keys: &[(&str, &str)], offsets: &Offsets) -> SourceRun {
        self.query_of(CONFLUENT, keys, offsets)
    }

    /// The same under a class.
    pub fn query_of(&self, class: &str, keys: &[(&str, &str)], offsets: &Offsets) -> SourceRun {
        let mut connector = connector(class);
        let run = SourceRun::start(&mut *connector, self.query_config(keys), offsets);
        run.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The tables of each task, with so many tasks.
    pub fn divided(&self, keys: &[(&str, &str)], tasks: usize) -> Vec<String> {
        let mut connector = connector(CONFLUENT);
        connector.start(ConnectorContext::new("test"), self.query_config(keys)).unwrap();
        connector.task_configs(tasks).unwrap().into_iter().map(|config| config["tables"].clone()).collect()
    }
}

/// A record's row.
pub fn row(record: &SourceRecord) -> Json {
    json(&record.value)
}

/// The `id` of each row.
pub fn ids(records: &[SourceRecord]) -> Vec<i64> {
    records.iter().map(|record| row(record)["id"].as_i64().expect("an id")).collect()
}
