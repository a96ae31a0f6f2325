//! A session with the server: statements whose parameters are texts, and COPY.

use super::config::Settings;
use crate::{
    error::{Error, Result},
    net::{self, Dialer, SESSION},
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::Sink as _;
use std::{cell::RefCell, collections::HashMap, future::poll_fn, pin::pin};
use tokio::task::JoinHandle;
use tokio_postgres::{
    CancelToken, Client, SimpleQueryMessage, SimpleQueryRow, Statement,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

/// Prepared statements kept; beyond it all are forgotten (invariant 9).
const MAX_STATEMENTS: usize = 512;

/// A parameter as text, as the server's input functions read it.
#[derive(Debug)]
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TEXT
    }

    to_sql_checked!();
}

/// A session, driven by a task of the current runtime.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    statements: RefCell<HashMap<String, Statement>>,
    /// Whether statements have names; a pooler between transactions does not keep them.
    named: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Opens one with a server that takes writes.
    pub async fn connect(settings: &Settings, dialer: &Dialer) -> Result<Self> {
        let url = &settings.url;
        let mut config = settings.login.client();
        config.application_name(url.get("ApplicationName").unwrap_or("levada"));
        config.options(options(settings));
        let any = matches!(url.get("targetServerType"), Some("any"));
        let config = &config;
        let (client, driver) = dialer
            .session(async move |stream| {
                let (client, driver) = net::open(config, stream).await?;
                let standby = client.simple_query("SELECT pg_is_in_recovery()").await;
                let standby = standby.map_err(|error| Error::sql("the server's role can't be read", &error))?;
                let yes = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"));
                if !any && standby.iter().any(yes) {
                    driver.abort();
                    let text = "it is a standby, which takes no writes";
                    return Err(Error::server("the session is not used", "57P03", text));
                }
                Ok((client, driver))
            })
            .await?;
        let named = url.get("prepareThreshold") != Some("0");
        let session = Self { client, driver, statements: RefCell::default(), named };
        session.watch_the_way(settings).await;
        Ok(session)
    }

    /// Has the server see within a statement whether we are still there, where it can.
    async fn watch_the_way(&self, settings: &Settings) {
        let name = "client_connection_check_interval";
        if !self.named || settings.url.get("options").is_some_and(|options| options.contains(name)) {
            return;
        }
        // Servers before 14 don't know it, and some systems can't do it.
        let sql = format!("SELECT set_config(name, '10s', false) FROM pg_settings WHERE name = '{name}'");
        if let Err(error) = self.client.simple_query(&sql).await {
            tracing::debug!(%error, "the server does not look whether its clients are there");
        }
    }

    /// What ends a statement of this session from outside.
    pub fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// Whether the server has ended it.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Whether things of a session last longer than its transactions.
    pub fn keeps_state(&self) -> bool {
        self.named
    }

    /// Rows of a query, values as text; `action` names it in errors.
    pub async fn rows(&self, action: &str, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let messages = self.client.simple_query(sql).await.map_err(|error| Error::sql(action, &error))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// Statements without an answer.
    pub async fn run(&self, action: &str, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| Error::sql(action, &error))
    }

    /// A statement whose parameters are texts; gives the count of rows it touched.
    pub async fn execute(&self, action: &str, sql: &str, parameters: &[Vec<u8>]) -> Result<u64> {
        let failed = |error| Error::sql(action, &error);
        let texts: Vec<_> = parameters.iter().map(|text| Text(text)).collect();
        if !self.named {
            let typed: Vec<_> = texts.iter().map(|text| (text as &(dyn ToSql + Sync), Type::TEXT)).collect();
            return self.client.execute_typed(sql, &typed).await.map_err(failed);
        }
        let statement = self.statement(action, sql, parameters.len()).await?;
        let texts: Vec<_> = texts.iter().map(|text| text as &(dyn ToSql + Sync)).collect();
        self.client.execute(&statement, &texts).await.map_err(failed)
    }

    async fn statement(&self, action: &str, sql: &str, parameters: usize) -> Result<Statement> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let prepared = self.client.prepare_typed(sql, &vec![Type::TEXT; parameters]).await;
        let statement = prepared.map_err(|error| Error::sql(action, &error))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= MAX_STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Forgets prepared statements: the tables they were made for have changed.
    pub fn forget_statements(&self) {
        self.statements.borrow_mut().clear();
    }

    /// `COPY ... FROM STDIN` with what `next` gives, piece by piece, until it gives nothing.
    pub async fn copy_in(
        &self,
        action: &str,
        sql: &str,
        mut next: impl FnMut() -> Result<Option<Bytes>>,
    ) -> Result<u64> {
        let failed = |error| Error::sql(action, &error);
        let statement = self.statement(action, sql, 0).await?;
        let sink = self.client.copy_in::<_, Bytes>(&statement).await.map_err(failed)?;
        let mut sink = pin!(sink);
        while let Some(piece) = next()? {
            if piece.has_remaining() {
                // A refusal in the middle closes the way; its reason comes at the end.
                if poll_fn(|cx| sink.as_mut().poll_ready(cx)).await.is_err() {
                    break;
                }
                if sink.as_mut().start_send(piece).is_err() {
                    break;
                }
            }
        }
        sink.finish().await.map_err(failed)
    }
}

/// Ends what a session that was given up may still do.
pub async fn cancel(token: &CancelToken, dialer: &Dialer) -> Result<()> {
    let asked = async |stream| {
        let sent = token.cancel_query_raw(stream, tokio_postgres::NoTls).await;
        sent.map_err(|error| Error::sql("a statement can't be cancelled", &error))
    };
    dialer.session(asked).await
}

/// Limits by which the server ends what is left of a session whose client is gone, so that its locks don't hinder the
/// next one for long. All are below or near the time that a batch is given.
fn limits(settings: &Settings) -> [(&'static str, String); 6] {
    let limit = settings.batch_limit().as_millis().min(1 << 30);
    [
        ("idle_in_transaction_session_timeout", limit.to_string()),
        ("lock_timeout", (limit * 3 / 4).to_string()),
        // Behind our own limit, which has the statement cancelled.
        ("statement_timeout", (limit * 2).min(1 << 30).to_string()),
        ("tcp_keepalives_idle", "60".to_owned()),
        ("tcp_keepalives_interval", "10".to_owned()),
        ("tcp_keepalives_count", "6".to_owned()),
    ]
}

/// Settings of the session, as the start-up message carries them. Of those that come twice the last counts: the user's.
fn options(settings: &Settings) -> String {
    let limits = limits(settings);
    let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
    let mut options: Vec<_> = SESSION
        .into_iter()
        .filter(|(name, _)| *name != "timezone" && !limits.iter().any(|(limit, _)| limit == name))
        .chain(limits.iter().map(|(name, value)| (*name, value.as_str())))
        .chain([("timezone", settings.zone.as_str())])
        .chain(settings.url.get("currentSchema").map(|schema| ("search_path", schema)))
        .map(|(name, value)| format!("-c {name}={}", escaped(value)))
        .collect();
    options.extend(settings.url.get("options").map(str::to_owned));
    options.join(" ")
}
