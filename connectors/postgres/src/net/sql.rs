//! The SQL client over our own streams, so that hosts and TLS are the same for every session.

use super::{Dialer, SESSION, Stream, session::Login};
use crate::error::{Error, Result};
use bytes::Bytes;
use futures_util::Stream as _;
use std::{future::poll_fn, io, pin::pin, time::Duration};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow, Statement};

/// An SQL session, driven by a task of the current runtime.
pub struct Sql {
    client: Client,
    driver: JoinHandle<()>,
    timeout: Option<Duration>,
}

impl Drop for Sql {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Login {
    /// The client's configuration for it, on a stream of our own.
    pub fn client(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.user(&self.user).dbname(&self.database);
        // The stream is under TLS already, where the mode wants it.
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        if let Some(password) = &self.password {
            config.password(password.reveal());
        }
        config
    }
}

/// Logs in on a stream; the session is driven by a task of the current runtime.
pub async fn open(config: &tokio_postgres::Config, stream: Stream) -> Result<(Client, JoinHandle<()>)> {
    let connected = config.connect_raw(stream, NoTls).await;
    let (client, connection) = connected.map_err(|error| Error::sql("the session is refused", &error))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an SQL session ended");
        }
    });
    Ok((client, driver))
}

impl Sql {
    /// Opens a session. Queries take at most `timeout`, and so does the next row of a copy.
    pub async fn connect(dialer: &Dialer, login: &Login, timeout: Option<Duration>) -> Result<Self> {
        Self::connect_with(dialer, login, timeout, "levada", "").await
    }

    /// The same with a name of the session's and settings beyond the common ones, as the start-up message has them.
    pub async fn connect_with(
        dialer: &Dialer,
        login: &Login,
        timeout: Option<Duration>,
        application: &str,
        options: &str,
    ) -> Result<Self> {
        let mut config = login.client();
        config.application_name(application);
        let common = SESSION.map(|(name, value)| format!("-c {name}={}", value.replace(' ', "\\ "))).join(" ");
        config.options(format!("{common} {options}").trim_end());
        let (client, driver) = dialer.session(async |stream| open(&config, stream).await).await?;
        Ok(Self { client, driver, timeout })
    }

    /// Rows of a query, values as text; `action` names it in errors.
    pub async fn rows(&self, action: &str, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let query = self.client.simple_query(sql);
        let answer = match self.timeout {
            None => query.await,
            Some(timeout) => match tokio::time::timeout(timeout, query).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(Error::server(action, "57014", "it took longer than database.query.timeout.ms"));
                }
            },
        };
        let messages = answer.map_err(|error| Error::sql(action, &error))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The first row of a query.
    pub async fn row(&self, action: &str, sql: &str) -> Result<Option<SimpleQueryRow>> {
        Ok(self.rows(action, sql).await?.into_iter().next())
    }

    /// Statements without an answer.
    pub async fn execute(&self, action: &str, sql: &str) -> Result<()> {
        self.rows(action, sql).await.map(drop)
    }

    /// Waits for the next sign of a copy: it may take long, but a peer that vanished says nothing for ever.
    async fn patiently<T>(&self, action: &str, sign: impl Future<Output = T>) -> Result<T> {
        let Some(timeout) = self.timeout else { return Ok(sign.await) };
        tokio::time::timeout(timeout, sign).await.map_err(|_| {
            let text = format!("{action}: no row for {} ms (database.query.timeout.ms)", timeout.as_millis());
            Error::Broken(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }

    /// Columns of a query's answer, without running it. The server takes no more than one statement.
    pub async fn describe(&self, action: &str, sql: &str) -> Result<Statement> {
        self.patiently(action, self.client.prepare(sql)).await?.map_err(|error| Error::sql(action, &error))
    }

    /// Whether the server has ended it.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs `COPY ... TO STDOUT` and hands each row's bytes, without its line end, to `each`.
    pub async fn copy_out(
        &self,
        action: &str,
        sql: &str,
        mut each: impl AsyncFnMut(Bytes) -> Result<()>,
    ) -> Result<()> {
        let stream = self.patiently(action, self.client.copy_out(sql)).await?;
        let stream = stream.map_err(|error| Error::sql(action, &error))?;
        let mut stream = pin!(stream);
        while let Some(row) = self.patiently(action, poll_fn(|cx| stream.as_mut().poll_next(cx))).await? {
            let row = row.map_err(|error| Error::sql(action, &error))?;
            let end = row.len() - usize::from(row.last() == Some(&b'\n'));
            each(row.slice(..end)).await?;
        }
        Ok(())
    }
}

/// An identifier in quotes.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        return format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}
