//! Keys of the connection.

use levada_connector_api::{ConfigEnum, ConnectorConfig, config::Secret};
use std::time::Duration;

/// How much TLS a connection asks for, as libpq has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Without TLS first.
    Allow,
    /// With TLS first.
    Prefer,
    /// TLS, whoever answers.
    Require,
    /// TLS, the server's certificate checked.
    VerifyCa,
    /// TLS, certificate and name checked.
    VerifyFull,
}

/// Where the server is and how it is reached.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct ConnectionConfig {
    /// Host of the server; several, separated by commas, are tried in order, each with a port of its own as `host:port`. Or
    /// the directory of the Unix socket of a server on this machine, as `/run/postgresql`; TLS is not used there.
    #[config(key = "database.hostname", importance = "high", non_empty, required, group = "Connection")]
    pub hostname: String,
    /// Port of the server.
    #[config(key = "database.port", default = "5432", min = 0, max = 65535, importance = "high", group = "Connection")]
    pub port: i32,
    /// User; it needs the REPLICATION attribute and SELECT on the captured tables.
    #[config(key = "database.user", importance = "high", non_empty, required, group = "Connection")]
    pub user: String,
    /// Password of the user.
    #[config(key = "database.password", importance = "high", group = "Connection")]
    pub password: Option<Secret>,
    /// Database.
    #[config(key = "database.dbname", importance = "high", non_empty, required, group = "Connection")]
    pub dbname: String,
    /// `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`.
    #[config(key = "database.sslmode", default = "prefer", group = "Connection")]
    pub sslmode: SslMode,
    /// File of the client's certificate, PEM.
    #[config(key = "database.sslcert", group = "Connection")]
    pub sslcert: Option<String>,
    /// File of the client's key, PEM.
    #[config(key = "database.sslkey", group = "Connection")]
    pub sslkey: Option<String>,
    /// Password of the client's key. Encrypted keys are not read yet.
    #[config(key = "database.sslpassword", group = "Connection")]
    pub sslpassword: Option<Secret>,
    /// File of the certificates that the server's must come from, PEM.
    #[config(key = "database.sslrootcert", group = "Connection")]
    pub sslrootcert: Option<String>,
    /// A Java class; has no effect.
    #[config(key = "database.sslfactory", importance = "low", group = "Connection")]
    pub sslfactory: Option<String>,
    /// Keep idle connections alive by probes.
    #[config(key = "database.tcpKeepAlive", default = "true", importance = "low", group = "Connection")]
    pub tcp_keep_alive: bool,
    /// SQL for each new connection that reads tables, separated by `;` (`;;` is a semicolon).
    #[config(key = "database.initial.statements", importance = "low", group = "Connection")]
    pub initial_statements: Option<String>,
    /// Longest time that one query, or the next row of a snapshot, may take; 0 is without end.
    #[config(key = "database.query.timeout.ms", default = "600000", importance = "low", group = "Connection")]
    pub query_timeout: Duration,
}
