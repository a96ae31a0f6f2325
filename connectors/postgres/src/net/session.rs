//! A raw session: start-up, authentication, simple queries. Replication needs a kind that the SQL client does not have.

use super::{SESSION, Stream};
use crate::{
    config::ConnectionConfig,
    error::{Error, Result},
};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use levada_connector_api::config::Secret;
use postgres_protocol::{
    authentication::{md5_hash, sasl},
    message::{
        backend::{ErrorFields, Message},
        frontend,
    },
};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes that input is read into at a time.
const BLOCK: usize = 64 * 1024;
/// Bytes that a read has room for at least.
const LEAST_ROOM: usize = 8 * 1024;

/// Who opens a session.
#[derive(Clone, Debug)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: Option<Secret>,
    /// Database.
    pub database: String,
}

impl Login {
    /// Of the configuration.
    pub fn of(config: &ConnectionConfig) -> Self {
        Self { user: config.user.clone(), password: config.password.clone(), database: config.dbname.clone() }
    }
}

/// A row of a simple query, as text.
pub type Row = Vec<Option<String>>;

/// A session.
pub struct Session {
    pub(super) stream: Stream,
    pub(super) input: BytesMut,
}

/// What a server's error says.
pub fn server_error(action: &str, mut fields: ErrorFields<'_>) -> Error {
    let (mut code, mut message) = (String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = text,
            b'M' => message = text,
            _ => {}
        }
    }
    Error::server(action, &code, &message)
}

impl Session {
    /// Opens a session for replication on `stream`.
    pub async fn replication(stream: Stream, login: &Login) -> Result<Self> {
        let mut session = Self { stream, input: BytesMut::with_capacity(BLOCK) };
        let own = [
            ("user", login.user.as_str()),
            ("database", login.database.as_str()),
            ("replication", "database"),
            ("application_name", "levada"),
        ];
        let mut out = BytesMut::new();
        frontend::startup_message(own.into_iter().chain(SESSION), &mut out)?;
        session.write(&out).await?;
        session.authenticate(login).await?;
        loop {
            match session.message().await? {
                Message::ReadyForQuery(_) => return Ok(session),
                Message::ErrorResponse(body) => return Err(server_error("the session is refused", body.fields())),
                _ => {}
            }
        }
    }

    async fn authenticate(&mut self, login: &Login) -> Result<()> {
        let missing = || Error::Setup("the server asks for a password and database.password is not set".to_owned());
        let password = login.password.as_ref().map(Secret::reveal);
        let mut out = BytesMut::new();
        match self.message().await? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(password.ok_or_else(missing)?.as_bytes(), &mut out)?;
            }
            Message::AuthenticationMd5Password(body) => {
                let password = password.ok_or_else(missing)?;
                let hash = md5_hash(login.user.as_bytes(), password.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut out)?;
            }
            Message::AuthenticationSasl(body) => {
                let plain = body.mechanisms().any(|mechanism| Ok(mechanism == sasl::SCRAM_SHA_256))?;
                if !plain {
                    return Err(Error::Setup(
                        "the server asks for an authentication that is not known here".to_owned(),
                    ));
                }
                return self.scram(password.ok_or_else(missing)?).await;
            }
            Message::ErrorResponse(body) => return Err(server_error("the session is refused", body.fields())),
            _ => {
                return Err(Error::Setup(
                    "the server asks for an authentication that is not known here; use scram-sha-256, md5, password, \
                     cert or trust in pg_hba.conf"
                        .to_owned(),
                ));
            }
        }
        self.write(&out).await?;
        self.authenticated().await
    }

    async fn scram(&mut self, password: &str) -> Result<()> {
        let mut scram = sasl::ScramSha256::new(password.as_bytes(), sasl::ChannelBinding::unsupported());
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(sasl::SCRAM_SHA_256, scram.message(), &mut out)?;
        self.write(&out).await?;
        loop {
            match self.message().await? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    out.clear();
                    frontend::sasl_response(scram.message(), &mut out)?;
                    self.write(&out).await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram.finish(body.data())?;
                    return self.authenticated().await;
                }
                Message::ErrorResponse(body) => return Err(server_error("the session is refused", body.fields())),
                _ => return Err(Error::Protocol("something else than the next step of SCRAM".to_owned())),
            }
        }
    }

    async fn authenticated(&mut self) -> Result<()> {
        match self.message().await? {
            Message::AuthenticationOk => Ok(()),
            Message::ErrorResponse(body) => Err(server_error("the session is refused", body.fields())),
            _ => Err(Error::Protocol("something else than the end of authentication".to_owned())),
        }
    }

    /// Rows of the last statement of `sql`; `action` names it in errors.
    pub async fn query(&mut self, action: &str, sql: &str) -> Result<Vec<Row>> {
        self.send_query(sql).await?;
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            match self.message().await? {
                Message::DataRow(body) => {
                    let mut row = Row::new();
                    let mut ranges = body.ranges();
                    while let Some(range) = ranges.next()? {
                        let text = range.and_then(|range| body.buffer().get(range));
                        row.push(text.map(|text| String::from_utf8_lossy(text).into_owned()));
                    }
                    rows.push(row);
                }
                Message::ErrorResponse(body) => failed = Some(server_error(action, body.fields())),
                Message::ReadyForQuery(_) => return failed.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    pub(super) async fn send_query(&mut self, sql: &str) -> Result<()> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.write(&out).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message. Safe to drop between its reads.
    pub(super) async fn message(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// Reads what there is, at least a byte. Safe to drop.
    pub(super) async fn fill(&mut self) -> Result<()> {
        // A block is filled by several reads: messages that are kept hold the whole of it.
        if self.input.capacity() - self.input.len() < LEAST_ROOM {
            self.input.reserve(BLOCK);
        }
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}
