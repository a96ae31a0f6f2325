//! One client connection: frames in, answers out in the same order.
//!
//! One task reads, begins requests, waits for the oldest answer and writes. While it writes it does not read, so a client
//! that does not take its answers is not served further, and is closed when it takes none for long. Requests in flight
//! end with their connection: their futures are dropped. A frame that cannot be understood ends this connection only.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use levada_env::net::{TcpStream, is_read_closed};
use levada_env::time::{Instant, sleep, sleep_until, timeout};
use levada_wire::frame::{FrameError, RequestFrame, unsupported_api_versions};
use levada_wire::{RequestKind, Segment};
use tokio::sync::watch;

use super::budget::{MemoryBudget, MemoryPermit};
use super::frame_reader::{Frame, FrameReader, ReadError};
use super::listener::stopped;
use super::output::{Output, Progress};
use super::pending::{Outcome, Pending, PendingQueue};
use crate::api::{HeldMemory, RequestContext, Services, begin, may_overlap, may_wait};

/// Answers collected before they are written, where several are ready.
const COLLECT: usize = 256 << 10;

/// How long answers to requests in flight may take once the broker stops.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// How often it is looked whether an answer being written gets on. While memory for answers is short, one that holds some
/// must get on by [`WINDOW_BYTES`] in each such time.
const WINDOW: Duration = Duration::from_secs(10);

/// See [`WINDOW`].
const WINDOW_BYTES: u64 = 64 << 10;

/// How often it is looked whether the client is still there while nothing is read from it.
const GONE_CHECK: Duration = Duration::from_secs(1);

/// An answer of at least this size is accounted for until it is written, of whatever API it is.
const LARGE_ANSWER: usize = 64 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
    #[error("unreadable request: {0}")]
    Malformed(String),
    #[error("nothing was sent for too long")]
    Idle,
    #[error("answers were not taken for too long")]
    Stalled,
    #[error("a request was refused by closing the connection")]
    Refused,
    #[error("the broker stops")]
    Stopping,
}

/// A request that waits for those before it.
struct Held {
    frame: RequestFrame,
    frame_bytes: usize,
    request: RequestKind,
    permit: MemoryPermit,
}

/// One connection's state.
pub(super) struct Connection {
    services: Arc<Services>,
    stream: TcpStream,
    reader: FrameReader,
    output: Output,
    pending: PendingQueue,
    held: Option<Held>,
    ctx: RequestContext,
    last_activity: Instant,
}

impl Connection {
    pub fn new(services: Arc<Services>, budget: MemoryBudget, stream: TcpStream, ctx: RequestContext) -> Self {
        let reader = FrameReader::new(services.logs.buf_pool().clone(), budget, services.config.request_max_bytes);
        Self {
            last_activity: services.env.clock.now(),
            reader,
            output: Output::default(),
            pending: PendingQueue::default(),
            held: None,
            ctx,
            stream,
            services,
        }
    }

    /// Serve until the client goes, breaks the protocol, or the broker stops.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Ended {
        loop {
            let (may_read, patience_ends) = (self.may_read(), self.last_activity + self.services.config.max_idle);
            let step = tokio::select! {
                biased;
                outcome = self.pending.next() => self.answer(outcome).await,
                () = stopped(&mut stop) => {
                    let _ = timeout(LAST_ANSWERS, self.finish()).await;
                    return Ended::Stopping;
                }
                frame = self.reader.next(&self.stream), if may_read => match frame {
                    Ok(frame) => self.receive(frame).await,
                    Err(error) => Err(error.into()),
                },
                () = gone(&self.stream), if !may_read && self.pending.head_waits() => {
                    // What came before the end is still to be done.
                    self.pending.give_up_head();
                    self.begin_held().await
                }
                () = sleep_until(patience_ends) => self.check_idle(),
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    /// Answer what has been begun; nothing more is read.
    async fn finish(&mut self) -> Result<(), Ended> {
        while !self.pending.is_empty() {
            let outcome = self.pending.next().await;
            self.answer(outcome).await?;
        }
        Ok(())
    }

    fn may_read(&self) -> bool {
        self.held.is_none() && self.pending.len() < self.services.config.max_in_flight
    }

    fn check_idle(&mut self) -> Result<(), Ended> {
        if !self.pending.is_empty() {
            // Its request is still being worked on.
            self.last_activity = self.services.env.clock.now();
            return Ok(());
        }
        Err(if self.reader.is_inside_frame() { Ended::Stalled } else { Ended::Idle })
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), Ended> {
        self.last_activity = self.services.env.clock.now();
        self.services.metrics.bytes_received.add(frame.bytes.len() as u64 + 4);
        let Frame { bytes, permit } = frame;
        let frame_bytes = bytes.len();
        let frame = match RequestFrame::decode(bytes) {
            Ok(frame) => frame,
            Err(FrameError::UnsupportedApiVersions { correlation_id, .. }) => {
                let answer = unsupported_api_versions(correlation_id).map_err(|e| Ended::Malformed(e.to_string()))?;
                return self.finish_then_send(answer).await;
            }
            Err(error) => return Err(self.malformed(&error)),
        };
        let request = frame.request().map_err(|error| self.malformed(&error))?;
        let held = Held { frame, frame_bytes, request, permit };
        if self.pending.admits(may_overlap(&held.request)) {
            self.begin(held).await?;
        } else {
            self.held = Some(held);
        }
        Ok(())
    }

    async fn finish_then_send(&mut self, answer: levada_wire::Encoded) -> Result<(), Ended> {
        self.finish().await?;
        self.output.push(answer, HeldMemory::default());
        self.flush().await
    }

    fn malformed(&self, error: &dyn std::fmt::Display) -> Ended {
        self.services.metrics.malformed_requests.add(1);
        Ended::Malformed(error.to_string())
    }

    /// Begin a request. While it waits for its turn at the disk, the answers to those before it go out.
    async fn begin(&mut self, held: Held) -> Result<(), Ended> {
        let Held { frame, frame_bytes, request, permit } = held;
        if self.ctx.client_id.as_deref() != frame.client_id.as_deref() {
            self.ctx.client_id = frame.client_id.as_deref().map(Arc::from);
        }
        self.ctx.api_version = frame.api_version;
        self.ctx.frame_bytes = frame_bytes;
        let (overlaps, waits) = (may_overlap(&request), may_wait(&request));
        let (services, ctx) = (self.services.clone(), self.ctx.clone());
        let mut starting = std::pin::pin!(begin(&services, &ctx, request));
        let begun = loop {
            tokio::select! {
                biased;
                begun = &mut starting => break begun,
                outcome = self.pending.next() => self.send(outcome).await?,
            }
        };
        let (api_version, correlation_id) = (frame.api_version, frame.correlation_id);
        self.pending.push(Pending { api_version, correlation_id, overlaps, waits, begun, _permit: permit });
        Ok(())
    }

    /// Send an answer and those that are ready behind it; begin the request that waited for them.
    async fn answer(&mut self, first: Outcome) -> Result<(), Ended> {
        self.send(first).await?;
        self.begin_held().await
    }

    async fn begin_held(&mut self) -> Result<(), Ended> {
        match self.held.take_if(|held| self.pending.admits(may_overlap(&held.request))) {
            Some(held) => self.begin(held).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, first: Outcome) -> Result<(), Ended> {
        let mut next = Some(first);
        while let Some(outcome) = next {
            match outcome {
                Outcome::Send(answer, mut memory) => {
                    if answer.len() >= LARGE_ANSWER && memory.bytes() == 0 {
                        memory = self.ctx.answer_memory.hold();
                        memory.add(in_memory(&answer));
                    }
                    self.output.push(answer, memory);
                }
                Outcome::Nothing => {}
                Outcome::Disconnect => {
                    self.flush().await?;
                    return Err(Ended::Refused);
                }
            }
            next = if self.output.len() < COLLECT { self.pending.next_ready() } else { None };
        }
        self.flush().await
    }

    /// Write what is collected. Given up when the client takes nothing for as long as a connection may be idle, or little in
    /// one window while memory is short.
    async fn flush(&mut self) -> Result<(), Ended> {
        if self.output.is_empty() {
            return Ok(());
        }
        let progress = Progress::new(0);
        let max_idle = self.services.config.max_idle;
        let holds_memory = self.output.holds_memory();
        let mut flush = pin!(self.output.flush(&self.stream, &*self.services.env.disk, &progress));
        let (mut seen, mut idle) = (0, Duration::ZERO);
        let window = WINDOW.min(max_idle);
        let sent = loop {
            if let Ok(sent) = timeout(window, &mut flush).await {
                break sent?;
            }
            let written = progress.load(Ordering::Relaxed) - seen;
            seen += written;
            idle = if written > 0 { Duration::ZERO } else { idle + window };
            let too_slow = holds_memory && written < WINDOW_BYTES && self.ctx.answer_memory.is_short();
            if idle >= max_idle || too_slow {
                return Err(Ended::Stalled);
            }
        };
        self.services.metrics.bytes_sent.add(sent as u64);
        self.last_activity = self.services.env.clock.now();
        Ok(())
    }
}

/// Bytes of an answer that are in memory.
fn in_memory(answer: &levada_wire::Encoded) -> usize {
    let bytes = |segment: &Segment| if let Segment::Bytes(bytes) = segment { bytes.len() } else { 0 };
    answer.segments().iter().map(bytes).sum()
}

/// Resolves when the client has closed its side, whether or not there is something to read before that.
async fn gone(stream: &TcpStream) {
    while !is_read_closed(stream).await {
        sleep(GONE_CHECK).await;
    }
}
