//! The replication stream: our own thin layer over COPY BOTH.

use super::{
    Dialer,
    session::{Login, Row, Session, server_error},
};
use crate::error::{Error, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::message::{
    backend::{ErrorResponseBody, Message},
    frontend,
};
use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Microseconds between 1970 and PostgreSQL's own epoch, 2000.
pub const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What comes over the stream.
#[derive(Debug)]
pub enum Frame {
    /// A message of the decoding plug-in.
    Data {
        /// Its position in the log; 0 for what describes others.
        start: u64,
        /// When it was sent by the server's clock, microseconds since 1970.
        sent: i64,
        /// The message.
        message: Bytes,
    },
    /// "I am here", up to which position everything was sent.
    Keepalive {
        /// End of what was sent.
        end: u64,
        /// Whether an answer is asked for.
        reply: bool,
    },
}

/// Bytes of frames that are read at once, about.
const MOST_DRAINED: usize = 1 << 20;

/// A replication session.
pub struct Replication {
    session: Session,
    /// Frames that were read ahead.
    drained: VecDeque<Frame>,
    /// Their bytes since all there was was read.
    burst: usize,
}

impl Replication {
    /// Opens a session.
    pub async fn connect(dialer: &Dialer, login: &Login) -> Result<Self> {
        let session = dialer.session(async |stream| Session::replication(stream, login).await).await?;
        Ok(Self { session, drained: VecDeque::new(), burst: 0 })
    }

    /// Rows of a replication command or query.
    pub async fn query(&mut self, action: &str, sql: &str) -> Result<Vec<Row>> {
        self.session.query(action, sql).await
    }

    /// How long the server waits for a sign of life before it cuts the session; zero for ever.
    pub async fn patience(&mut self) -> Result<Duration> {
        let query = "SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'";
        let rows = self.query("wal_sender_timeout can't be read", query).await?;
        let millis = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        Ok(Duration::from_millis(millis.unwrap_or(0)))
    }

    /// Begins the stream of a slot at `from`; `options` are the plug-in's.
    pub async fn start(&mut self, slot: &str, from: u64, options: &[(String, String)]) -> Result<()> {
        let options: Vec<_> =
            options.iter().map(|(name, value)| format!("\"{name}\" '{}'", value.replace('\'', "''"))).collect();
        let sql =
            format!("START_REPLICATION SLOT \"{slot}\" LOGICAL {} ({})", crate::lsn::Lsn(from), options.join(", "));
        self.session.send_query(&sql).await?;
        // The codec knows COPY IN and OUT only; `W` is looked at here.
        loop {
            match self.frame_tag() {
                None => self.session.fill().await?,
                Some(b'W') => {
                    self.take_frame();
                    return Ok(());
                }
                Some(_) => {
                    if let Message::ErrorResponse(body) = self.session.message().await? {
                        return Err(self.refused(&format!("slot {slot} can't be streamed"), &body).await);
                    }
                }
            }
        }
    }

    async fn refused(&mut self, action: &str, body: &ErrorResponseBody) -> Error {
        let error = server_error(action, body.fields());
        // The session is usable again behind the next prompt; if it breaks instead, the next use tells.
        while let Ok(message) = self.session.message().await {
            if matches!(message, Message::ReadyForQuery(_)) {
                break;
            }
        }
        error
    }

    /// The tag of a message that has arrived whole.
    fn frame_tag(&self) -> Option<u8> {
        let header = self.session.input.get(..5)?;
        let length = u32::from_be_bytes(header.get(1..5)?.try_into().ok()?) as usize;
        (self.session.input.len() > length).then(|| header.first().copied())?
    }

    /// Takes the message that [`Self::frame_tag`] has seen, its body without tag and length.
    fn take_frame(&mut self) -> Bytes {
        let length =
            self.session.input.get(1..5).and_then(|length| length.try_into().ok()).map_or(4, u32::from_be_bytes);
        let mut frame = self.session.input.split_to((length as usize + 1).min(self.session.input.len())).freeze();
        frame.advance(5.min(frame.len()));
        frame
    }

    /// The next frame that has arrived whole, without waiting.
    pub fn ready(&mut self) -> Result<Option<Frame>> {
        if let Some(frame) = self.drained.pop_front() {
            return Ok(Some(frame));
        }
        while let Some(tag) = self.frame_tag() {
            match tag {
                b'd' => {
                    if let Some(frame) = frame(self.take_frame())? {
                        return Ok(Some(frame));
                    }
                }
                b'E' => {
                    if let Some(Message::ErrorResponse(body)) = Message::parse(&mut self.session.input)? {
                        return Err(ended(server_error("the stream ended", body.fields())));
                    }
                }
                // The server ends the stream: it shuts down.
                b'c' => return Err(Error::server("the stream ended", "57P01", "the server shuts down")),
                _ => drop(self.take_frame()),
            }
        }
        Ok(None)
    }

    /// Reads what there is, at least a byte. Safe to drop.
    pub async fn fill(&mut self) -> Result<()> {
        self.session.fill().await
    }

    /// Reads on, not much more than [`MOST_DRAINED`], and takes no time for anything in between; gives how many bytes of frames
    /// came since the last time when that was all. Safe to drop.
    pub async fn drain(&mut self) -> Result<Option<usize>> {
        let mut bytes = 0;
        loop {
            while self.frame_tag() == Some(b'd') {
                let body = self.take_frame();
                bytes += body.len();
                self.burst += body.len();
                self.drained.extend(frame(body)?);
            }
            // Another message is for `ready`.
            if bytes >= MOST_DRAINED || self.frame_tag().is_some() {
                return Ok(None);
            }
            // Reading made room, which the server's side has filled by now; the poller is to see that.
            tokio::task::yield_now().await;
            let read = tokio::select! {
                biased;
                read = self.session.fill() => read,
                () = std::future::ready(()) => return Ok(Some(std::mem::take(&mut self.burst))),
            };
            if read.is_err() {
                // The next read tells it, behind what the server said before.
                return Ok(None);
            }
        }
    }

    /// Whether the server is reached over TCP on this same machine.
    pub fn is_loopback(&self) -> bool {
        self.session.stream.is_loopback()
    }

    /// Tells what was received and what is stored; `ask` asks for a sign of life.
    pub async fn status(&mut self, received: u64, stored: u64, ask: bool) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let mut body = BytesMut::with_capacity(34);
        body.put_u8(b'r');
        body.put_u64(received.max(stored));
        body.put_u64(stored);
        body.put_u64(stored);
        body.put_i64(now - PG_EPOCH_MICROS);
        body.put_u8(u8::from(ask));
        let mut out = BytesMut::with_capacity(40);
        frontend::CopyData::new(body.freeze())?.write(&mut out);
        self.session.write(&out).await
    }

    /// Ends the stream in order, as far as the server answers.
    pub async fn finish(mut self) {
        let mut out = BytesMut::new();
        frontend::copy_done(&mut out);
        frontend::terminate(&mut out);
        let _ = self.session.write(&out).await;
    }
}

/// Before PostgreSQL 18 the stream itself fails when its publication is gone.
fn ended(error: Error) -> Error {
    let Error::Server { code, message, .. } = &error else { return error };
    let name = message.strip_prefix("publication \"").and_then(|rest| rest.strip_suffix("\" does not exist"));
    match name.filter(|_| code == "42704") {
        Some(name) => Error::publication_gone(name),
        None => error,
    }
}

fn frame(mut body: Bytes) -> Result<Option<Frame>> {
    let short = || Error::Protocol("a replication message that is too short".to_owned());
    match body.try_get_u8().map_err(|_| short())? {
        b'w' => {
            let start = body.try_get_u64().map_err(|_| short())?;
            let _end = body.try_get_u64().map_err(|_| short())?;
            let sent = body.try_get_i64().map_err(|_| short())?.saturating_add(PG_EPOCH_MICROS);
            Ok(Some(Frame::Data { start, sent, message: body }))
        }
        b'k' => {
            let end = body.try_get_u64().map_err(|_| short())?;
            let _clock = body.try_get_i64().map_err(|_| short())?;
            Ok(Some(Frame::Keepalive { end, reply: body.try_get_u8().map_err(|_| short())? == 1 }))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Stream;
    use tokio::{io::AsyncWriteExt, net::UnixStream};

    fn replication() -> (Replication, UnixStream) {
        let (ours, server) = UnixStream::pair().unwrap();
        let session = Session { stream: Stream::Unix(ours), input: BytesMut::new() };
        (Replication { session, drained: VecDeque::new(), burst: 0 }, server)
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag], &u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
    }

    /// Of so many bytes, with its number as its position.
    fn data(number: u64, length: usize) -> Vec<u8> {
        message(b'd', &[b"w", &number.to_be_bytes()[..], &[0; 16], &vec![b'x'; length]].concat())
    }

    fn numbers(replication: &mut Replication) -> Vec<u64> {
        let next = || match replication.ready().unwrap()? {
            Frame::Data { start, .. } => Some(start),
            Frame::Keepalive { .. } => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[tokio::test]
    async fn frames_that_were_drained_come_in_order_wherever_the_drain_is_cut() {
        let (mut replication, mut server) = replication();
        let all: Vec<u8> = (0..400).flat_map(|number| data(number, 1000)).collect();
        let writer = tokio::spawn(async move {
            for piece in all.chunks(777) {
                server.write_all(piece).await.unwrap();
            }
            server
        });
        let (mut seen, mut cut) = (Vec::new(), 0);
        while seen.len() < 400 {
            replication.fill().await.unwrap();
            for _ in 0..cut % 3 {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                drained = replication.drain() => drop(drained.unwrap()),
                () = tokio::task::yield_now() => cut += 1,
            }
            seen.extend(numbers(&mut replication));
        }
        assert_eq!(seen, (0..400).collect::<Vec<_>>());
        assert!(cut > 0);
        drop(writer.await.unwrap());
    }

    #[tokio::test]
    async fn a_drain_ends_at_another_message_at_its_bound_and_at_the_end() {
        let (mut replication, mut server) = replication();
        let notice = message(b'N', b"\0");
        server.write_all(&[data(1, 10), notice, data(2, 10)].concat()).await.unwrap();
        replication.fill().await.unwrap();
        assert_eq!(replication.drain().await.unwrap(), None, "the notice is first");
        assert_eq!(numbers(&mut replication), [1, 2]);

        let writer = tokio::spawn(async move {
            server
                .write_all(&(3..9).flat_map(|number| data(number, MOST_DRAINED / 4)).collect::<Vec<_>>())
                .await
                .unwrap();
            server
        });
        while replication.drained.len() < 4 {
            replication.fill().await.unwrap();
            let _ = replication.drain().await.unwrap();
        }
        let bytes: usize = replication.drained.len() * MOST_DRAINED / 4;
        assert!(bytes <= MOST_DRAINED * 2, "{bytes}");
        let mut seen = numbers(&mut replication);
        while seen.len() < 6 {
            replication.fill().await.unwrap();
            seen.extend(numbers(&mut replication));
        }
        assert_eq!(seen, (3..9).collect::<Vec<_>>());
        let mut server = writer.await.unwrap();

        server.write_all(&data(9, 10)).await.unwrap();
        replication.fill().await.unwrap();
        drop(server);
        assert_eq!(replication.drain().await.unwrap(), None, "the end comes behind what was said");
        assert_eq!(numbers(&mut replication), [9]);
        assert!(replication.fill().await.is_err());
    }
}
