//! What connectors with the keys of JDBC connectors share: the URL, and the connection that it means.

mod connection;
pub mod url;

pub use connection::connection;
pub use url::JdbcUrl;
