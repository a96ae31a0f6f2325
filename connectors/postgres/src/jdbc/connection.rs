//! From a JDBC URL and the keys beside it to a connection.

use super::JdbcUrl;
use crate::{
    config::{ConnectionConfig, SslMode},
    net::Login,
};
use levada_connector_api::config::{ConfigEnum, Secret};
use std::time::Duration;

/// Where the server is, and who connects. User and password of the keys go before those of the URL; without a database
/// it is the user's. `None` where no user is given.
pub fn connection(
    url: &JdbcUrl,
    user: Option<&str>,
    password: Option<Secret>,
    query_timeout: Duration,
) -> Option<(ConnectionConfig, Login)> {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let user = text(user).or_else(|| text(url.get("user")))?;
    let password = password.or_else(|| text(url.get("password")).map(Secret::from));
    let database = text(Some(&url.database)).unwrap_or_else(|| user.clone());
    let mode = SslMode::VARIANTS.iter().find(|(name, _)| *name == url.sslmode());
    let connection = ConnectionConfig {
        hostname: url.hosts.clone(),
        port: 5432,
        user: user.clone(),
        password: password.clone(),
        dbname: database.clone(),
        sslmode: mode.map_or(SslMode::Prefer, |(_, mode)| *mode),
        sslcert: text(url.get("sslcert")),
        sslkey: text(url.get("sslkey")),
        sslpassword: None,
        sslrootcert: text(url.get("sslrootcert")),
        sslfactory: None,
        tcp_keep_alive: true,
        initial_statements: None,
        query_timeout,
    };
    Some((connection, Login { user, password, database }))
}
