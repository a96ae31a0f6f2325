//! The source on a test's server.

use crate::server::Server;
use levada_connector_api::{
    Config, SourceConnector as _,
    testkit::{Offsets, SourceRun},
};
use levada_connector_postgres::PostgresSource;

impl Server {
    /// A configuration as Debezium's users write it, with further keys.
    pub fn config(&self, further: &[(&str, &str)]) -> Config {
        let port = self.port().to_string();
        let given = [
            ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
            ("topic.prefix", "p"),
            ("database.hostname", "127.0.0.1"),
            ("database.port", port.as_str()),
            ("database.user", "postgres"),
            ("database.dbname", "d"),
            ("plugin.name", "pgoutput"),
            ("status.update.interval.ms", "500"),
        ];
        let mut config = Config::new();
        for (key, value) in given.iter().chain(further) {
            config.insert((*key).to_owned(), (*value).to_owned());
        }
        config
    }

    /// Starts the source.
    pub fn source(&self, further: &[(&str, &str)], offsets: &Offsets) -> SourceRun {
        // Without the validation before it, which asks the server: what a task meets at its start is tried here.
        SourceRun::start_task(PostgresSource::default().task(), self.config(further), offsets).unwrap()
    }
}
