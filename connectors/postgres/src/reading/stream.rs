//! The stream: frames in, records out, and the server answered whatever happens.

use super::{
    engine::{Engine, now_micros},
    incremental::Chunks,
    pace::Pace,
    pump::Shared,
    shapes::Unshaped,
    signals::Signals,
    sparse::Sparse,
    under_way::UnderWay,
};
use crate::{
    config::{FlushMode, server_options, whole_transactions},
    error::{Error, Result},
    lsn::Lsn,
    net::{Frame, Replication},
    offset::Sent,
    pgoutput::Message,
    table::Table,
};
use levada_connector_api::Str;
use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Shortest time between two offsets of an idle stream.
const IDLE_CHECKPOINT: Duration = Duration::from_secs(1);
/// Longest time for which messages that keep coming are all that is looked at.
const LOOK_UP: Duration = Duration::from_millis(5);

/// Longest silence towards the server, whatever is waited for.
const ALIVE: Duration = Duration::from_secs(10);
/// Silence after which the server is asked for a sign of life with each report.
const ASK_AFTER: Duration = Duration::from_secs(15);
/// Silence after which the connection counts as broken.
const GONE_AFTER: Duration = Duration::from_secs(90);
/// Servers send parts of transactions that have not ended since this version.
const PARTS_VERSION: u32 = 140_000;

/// A stream under way.
pub(super) struct Streaming {
    replication: Replication,
    pub(super) relations: HashMap<u32, Option<Arc<Table>>>,
    /// The transaction under way.
    pub(super) transaction: Option<Transaction>,
    /// What was sent of a transaction before this stream began.
    pub(super) sent: Option<Sent>,
    /// End of the server's log when it began: transactions that were sent before commit before it.
    began_at: u64,
    /// Position behind the last commit, as events name it.
    pub(super) last_commit: Option<u64>,
    /// End of what was received.
    received: u64,
    /// What the server was last told, and when.
    told: u64,
    told_at: Instant,
    /// When the server was last heard.
    pub(super) heard_at: Instant,
    /// Transactions that have not ended.
    pub(super) under_way: UnderWay,
    pub(super) signals: Signals,
    /// The chunk of an incremental snapshot.
    pub(super) chunks: Chunks,
    /// Announcements whose first row has not come.
    pub(super) unshaped: Unshaped,
    /// Whether the last event was sent before.
    pub(super) skipped: bool,
    pub(super) heartbeat_at: Instant,
    idle_at: Instant,
    /// Position behind the last commit that an offset tells.
    settled: u64,
    pub(super) xmin: Option<i64>,
    pub(super) xmin_at: Option<Instant>,
    shared: Arc<Shared>,
    /// Whether the server is told what is stored.
    acknowledges: bool,
    /// Longest silence towards the server.
    pub(super) alive: Duration,
    /// How far apart captured rows are.
    sparse: Sparse,
    /// When something else than the server's messages was last looked at.
    looked_at: Instant,
    /// How often is read.
    pub(super) pace: Pace,
}

#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) xid: u32,
    /// Position of its commit.
    pub(super) commit: u64,
    pub(super) micros: i64,
    pub(super) origin: Option<(Str, i64)>,
}

impl Engine {
    /// Streams until a stop or a failure.
    pub(super) async fn stream(&mut self, mut replication: Replication, end: Lsn) -> Result<()> {
        let resume = self.position.resume();
        let alive = alive(self.settings.config.streaming.status_interval, replication.patience().await?);
        self.start_stream(&mut replication, resume.from).await?;
        self.emitter.resume_transaction(self.position.transaction.clone());
        let now = Instant::now();
        let mut streaming = Streaming {
            pace: Pace::new(replication.is_loopback()),
            replication,
            relations: HashMap::new(),
            transaction: None,
            sent: resume.sent,
            began_at: end.0,
            last_commit: self.position.commit.or(self.position.processed),
            received: resume.from,
            told: 0,
            told_at: now,
            heard_at: now,
            signals: Signals::new(),
            chunks: Chunks::new(self.seen_now().await?),
            unshaped: Unshaped::default(),
            skipped: false,
            under_way: UnderWay::new(self.settings.config.streaming.spill_directory.as_deref()),
            heartbeat_at: now,
            idle_at: now,
            settled: resume.from,
            xmin: None,
            xmin_at: None,
            shared: Arc::clone(&self.shared),
            acknowledges: self.acknowledges(),
            sparse: Sparse::default(),
            looked_at: now,
            alive,
        };
        // A stream's offsets say nothing of the snapshot before it.
        self.position.snapshot = None;
        // From here on a transaction under way is told from those before it.
        self.position.commit = Some(resume.from);
        let end = self.pump(&mut streaming).await;
        if matches!(end, Err(Error::Stopped)) {
            let _ = streaming.tell(self.stored()).await;
            streaming.replication.finish().await;
            if self.settings.config.streaming.slot_drop_on_stop {
                super::watch::drop_slot(&self.settings).await?;
            }
        }
        end
    }

    async fn start_stream(&mut self, replication: &mut Replication, from: u64) -> Result<()> {
        let params = self.settings.config.streaming.slot_stream_params.as_deref().unwrap_or_default();
        // Parts of transactions that have not ended: with them the server keeps no large ones on its own disk.
        let parts = self.version >= PARTS_VERSION && !whole_transactions(params);
        let mut options = server_options(params, self.version);
        options.push(("proto_version".to_owned(), if parts { "2" } else { "1" }.to_owned()));
        options.push(("publication_names".to_owned(), format!("\"{}\"", self.publication.name().replace('"', "\"\""))));
        if parts {
            options.push(("streaming".to_owned(), "on".to_owned()));
        }
        let config = &self.settings.config.streaming;
        let (retries, delay) = (config.slot_max_retries, config.slot_retry_delay);
        for tried in 0.. {
            match replication.start(self.slot.name(), from, &options).await {
                Err(error) if error.code() == Some("55006") && tried < retries => {
                    tracing::info!(%error, "the slot is in use and is tried again");
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = self.shared.stop() => return Err(Error::Stopped),
                    }
                }
                Err(error) if is_gone(&error) => {
                    let from = Lsn(from);
                    return Err(Error::Gap(format!(
                        "{error}: changes behind {from} are missing. Set snapshot.mode=when_needed to read the tables \
                         anew, and max_slot_wal_keep_size on the server so that it does not happen again"
                    )));
                }
                other => return other,
            }
        }
        Ok(())
    }

    async fn pump(&mut self, streaming: &mut Streaming) -> Result<()> {
        loop {
            let mut looks = false;
            while !looks {
                let frame = match streaming.replication.ready() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => return self.ended(streaming, error).await,
                };
                let (frame, length) = streaming.sparse.taken(frame);
                let records = self.batch.records.len();
                self.frame(streaming, frame).await?;
                streaming.sparse.came(length, self.batch.records.len() != records);
                if self.is_full() {
                    self.deliver(streaming).await?;
                }
                self.blocking(streaming).await?;
                looks = streaming.idle_between() && streaming.looks();
            }
            match streaming.reads_on(looks).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => return self.ended(streaming, error).await,
            }
            self.deliver(streaming).await?;
            self.settle(streaming).await?;
            self.channels(streaming).await?;
            self.blocking(streaming).await?;
            self.next_chunk(streaming).await?;
            if self.shared.stopping() {
                return Err(Error::Stopped);
            }
            let heartbeat = self.settings.config.events.heartbeat_interval;
            let due = if heartbeat.is_zero() { streaming.alive } else { streaming.alive.min(heartbeat) };
            let (stored, unsettled) = (self.stored(), self.unsettled(streaming));
            let (wake, idle, tell) = (streaming.wake(), streaming.idle_at + IDLE_CHECKPOINT, streaming.told_at + due);
            let (all_told, between) = (stored == streaming.told, streaming.idle_between());
            tokio::select! {
                read = streaming.read(), if !looks => read?,
                // There are frames still.
                () = std::future::ready(()), if looks => {}
                () = self.shared.stop() => return Err(Error::Stopped),
                () = self.shared.stored_changed.notified() => {}
                () = tokio::time::sleep_until(idle), if unsettled => {}
                // Within a transaction nothing comes of it.
                () = tokio::time::sleep_until(wake), if between => {}
                () = tokio::time::sleep_until(tell), if all_told => {
                    streaming.tell(stored).await?;
                }
            }
            if streaming.heard_at.elapsed() > GONE_AFTER {
                let silence = std::io::Error::new(std::io::ErrorKind::TimedOut, "the server says nothing any more");
                return Err(Error::Broken(silence));
            }
            self.report(streaming).await?;
            self.beat(streaming).await?;
        }
    }

    /// What came before the stream's end is whole.
    async fn ended(&mut self, streaming: &mut Streaming, error: Error) -> Result<()> {
        match self.deliver(streaming).await {
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(failed) => tracing::info!(error = %failed, "what came before the stream's end comes again"),
            Ok(()) => {}
        }
        Err(error)
    }

    /// Tells the server what is stored, when that is news or it is time.
    pub(super) async fn report(&self, streaming: &mut Streaming) -> Result<()> {
        let stored = self.stored();
        if stored > streaming.told || streaming.told_at.elapsed() >= streaming.alive {
            streaming.tell(stored).await?;
        }
        Ok(())
    }

    /// What the server may forget up to.
    pub(super) fn stored(&self) -> u64 {
        if self.acknowledges() { self.shared.stored() } else { 0 }
    }

    fn acknowledges(&self) -> bool {
        let config = &self.settings.config.streaming;
        config.flush_mode != FlushMode::Manual && config.flush_lsn_source
    }

    pub(super) async fn deliver(&mut self, streaming: &mut Streaming) -> Result<()> {
        if self.batch.records.is_empty() {
            return Ok(());
        }
        let waited = Instant::now();
        self.reselect(streaming).await?;
        streaming.heard_at += waited.elapsed();
        self.position.transaction = self.emitter.transaction().cloned();
        let age = now_micros().saturating_sub(self.position.micros).max(0);
        self.shared.telling.lag(Duration::from_micros(age.unsigned_abs()));
        self.hand_over(streaming).await
    }

    /// Gives the batch with the offset behind it to the queue. A full one keeps the reader waiting, not the server: it hears that
    /// somebody is here.
    async fn hand_over(&mut self, streaming: &mut Streaming) -> Result<()> {
        let waited = Instant::now();
        streaming.idle_at = waited;
        streaming.settled = self.position.commit.unwrap_or(0);
        self.flush(true, streaming.alive, async || streaming.tell_stored().await).await?;
        // Nobody listened to the server meanwhile.
        streaming.heard_at += waited.elapsed();
        Ok(())
    }

    async fn frame(&mut self, streaming: &mut Streaming, frame: Frame) -> Result<()> {
        match frame {
            Frame::Keepalive { end, reply } => {
                streaming.received = streaming.received.max(end);
                if reply {
                    streaming.tell(self.stored()).await?;
                }
                if streaming.transaction.is_none() {
                    streaming.pace.caught_up();
                    self.idle(streaming, end);
                    self.came_to(streaming, end);
                }
                Ok(())
            }
            Frame::Data { start, sent, message } => {
                streaming.pace.sent(sent);
                streaming.received = streaming.received.max(start);
                if self.piece(streaming, start, &message).await? {
                    return Ok(());
                }
                let parsed = Message::parse(&message)?;
                self.message(streaming, start, &message, parsed).await
            }
        }
    }

    /// All that committed up to `end` was streamed.
    pub(super) fn came_to(&mut self, streaming: &mut Streaming, end: u64) {
        if end > streaming.began_at {
            streaming.sent = None;
        }
        self.reached(streaming, end);
    }

    /// The server has sent everything up to `end`, and nothing of it is under way: the slot may follow once the offset
    /// does, so that a database without captured changes keeps no log for us.
    fn idle(&mut self, streaming: &Streaming, end: u64) {
        if end <= self.position.commit.unwrap_or(0) || (streaming.sent.is_some() && end <= streaming.began_at) {
            return;
        }
        self.shared.telling.lag(Duration::ZERO);
        (self.position.commit, self.position.processed) = (Some(end), Some(end));
        (self.position.lsn, self.position.events, self.position.micros) = (end, 0, now_micros());
    }

    /// Whether everything up to a commit is done with, and no offset says so yet.
    fn unsettled(&self, streaming: &Streaming) -> bool {
        let commit = self.position.commit.unwrap_or(0);
        streaming.transaction.is_none() && self.batch.records.is_empty() && commit > streaming.settled
    }

    /// An offset at once, between two transactions: what was asked for is not to be forgotten.
    pub(super) async fn remember(&mut self, streaming: &mut Streaming) -> Result<()> {
        self.position.transaction = None;
        self.hand_over(streaming).await
    }

    /// An offset without records: nothing of what was received is captured.
    async fn settle(&mut self, streaming: &mut Streaming) -> Result<()> {
        if !self.unsettled(streaming) || streaming.idle_at.elapsed() < IDLE_CHECKPOINT {
            return Ok(());
        }
        self.remember(streaming).await
    }
}

impl Streaming {
    /// When signals or a chunk are due.
    fn wake(&self) -> Instant {
        self.chunks.wake().map_or(self.signals.look, |wake| wake.min(self.signals.look))
    }

    /// Whether they are, which are taken between two transactions only.
    fn looks(&self) -> bool {
        let now = Instant::now();
        self.wake() <= now && now - self.looked_at > LOOK_UP
    }

    /// Reads what has arrived already, so that it goes into one batch with what came before; `false` when that is nothing, or
    /// other things have waited long enough.
    async fn reads_on(&mut self, looks: bool) -> Result<bool> {
        if looks || self.pace.is_slow() || self.looked_at.elapsed() > LOOK_UP {
            self.looked_at = Instant::now();
            return Ok(false);
        }
        tokio::select! {
            biased;
            read = self.read() => read?,
            () = std::future::ready(()) => return Ok(false),
        }
        Ok(true)
    }

    /// Reads when it is time to. Safe to drop.
    async fn read(&mut self) -> Result<()> {
        if self.pace.is_slow() {
            tokio::time::sleep_until(self.pace.next()).await;
        }
        self.replication.fill().await?;
        self.heard_at = Instant::now();
        if self.pace.is_slow()
            && let Some(bytes) = self.replication.drain().await?
        {
            self.pace.read(bytes);
        }
        Ok(())
    }

    /// Whether no transaction is under way, nor one to come of which a part was sent before.
    pub(super) fn idle_between(&self) -> bool {
        self.transaction.is_none() && self.sent.is_none()
    }

    /// Asks the server how far it has sent.
    pub(super) async fn ask(&mut self, stored: u64) -> Result<()> {
        self.replication.status(self.received, stored, true).await
    }

    /// Whether the event at `lsn` of the transaction under way was sent before this stream began.
    pub(super) fn was_sent(&mut self, lsn: u64) -> bool {
        let xid = self.transaction.as_ref().map(|transaction| transaction.xid);
        self.sent.as_mut().is_some_and(|sent| xid.is_some_and(|xid| sent.is_of(xid)) && sent.has(lsn))
    }

    /// Position of the commit of the transaction under way.
    pub(super) fn commit(&self) -> u64 {
        self.transaction.as_ref().map_or(0, |transaction| transaction.commit)
    }

    /// Waits for what is asked on another session, however long that takes: somebody may have locked a table. Nobody reads
    /// the stream meanwhile; the server hears that somebody is here all the same.
    pub(super) async fn beside<T>(&mut self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut asked, since, shared) = (pin!(asked), Instant::now(), Arc::clone(&self.shared));
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer,
                () = tokio::time::sleep(self.alive) => self.tell_stored().await?,
                () = shared.stop() => return Err(Error::Stopped),
            }
        };
        self.heard_at += since.elapsed();
        answer
    }

    pub(super) async fn tell_stored(&mut self) -> Result<()> {
        self.tell(if self.acknowledges { self.shared.stored() } else { 0 }).await
    }

    pub(super) async fn tell(&mut self, stored: u64) -> Result<()> {
        // A server that has nothing to say is asked whether it is there at all.
        let ask = self.heard_at.elapsed() > ASK_AFTER;
        self.replication.status(self.received, stored, ask).await?;
        (self.told, self.told_at) = (self.told.max(stored), Instant::now());
        Ok(())
    }
}

/// Longest silence towards a server that cuts after `patience`, if at all.
fn alive(status_interval: Duration, patience: Duration) -> Duration {
    let most = if patience.is_zero() { ALIVE } else { ALIVE.min(patience / 3) };
    status_interval.min(most).max(Duration::from_millis(100))
}

/// Whether the server says that the slot no longer has what is asked for.
fn is_gone(error: &Error) -> bool {
    let Error::Server { code, message, .. } = error else { return false };
    let lost = ["has already been removed", "can no longer get changes", "invalidated", "has been lost"];
    // undefined_object: the slot was dropped between the look and the start.
    code == "42704" || lost.iter().any(|text| message.contains(text))
}
