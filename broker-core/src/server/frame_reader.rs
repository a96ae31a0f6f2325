//! Cuts a connection's bytes into frames. Small frames are copied out of a small buffer; large ones are received straight
//! into a recycled buffer that the log later writes from, so that record data is not copied on its way in.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use levada_env::net::TcpStream;
use levada_env::time::{Duration, Instant, timeout_at};
use levada_wire::ApiKey;

use super::budget::{MemoryBudget, MemoryPermit};
use crate::log::{BufPool, PooledBuf};

/// What is read while the size of the next frame is not known.
const LOOKAHEAD: usize = 4096;

/// A frame up to this size gets its buffer at once: memory that is not written to costs nothing. Larger ones grow as
/// their bytes arrive, so that a claim alone takes no memory.
const AT_ONCE: usize = 2 << 20;

/// Largest request of an API that carries no records: several times what the largest legitimate ones have.
const MAX_PLAIN: usize = 8 << 20;

/// What a large request without records takes in memory per byte when it is decoded; records stay as they are received.
const PLAIN_FACTOR: usize = 8;

/// Bytes received between two looks at the memory budget.
const STEP: usize = 256 << 10;

/// While others wait for memory, a frame being received must get on by [`WINDOW_BYTES`] in each such time.
const WINDOW: Duration = Duration::from_secs(5);

/// See [`WINDOW`].
const WINDOW_BYTES: usize = 64 << 10;

/// Why no further frame comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the client closed the connection")]
    Closed,
    #[error("the client closed the connection inside a request")]
    Torn,
    #[error("request claims {claimed} bytes, its limit is {limit}")]
    TooLarge { claimed: i64, limit: usize },
    #[error("the request was sent too slowly while memory was short")]
    Stalled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A frame without its size prefix, and the memory it holds.
#[derive(Debug)]
pub(super) struct Frame {
    pub bytes: Bytes,
    pub permit: MemoryPermit,
}

/// A frame being received.
struct Partial {
    size: usize,
    /// Memory it takes per byte.
    factor: usize,
    buffer: PooledBuf,
    permit: MemoryPermit,
    /// When progress was last looked at, and how much there was then.
    looked: (Instant, usize),
}

/// Reads one connection.
pub(super) struct FrameReader {
    pool: Arc<BufPool>,
    budget: MemoryBudget,
    max_size: usize,
    /// Bytes received that belong to no frame yet; at most [`LOOKAHEAD`].
    lookahead: Vec<u8>,
    /// How much of `lookahead` is used up.
    start: usize,
    partial: Option<Partial>,
    /// A small frame whose memory is not granted yet.
    small: Option<Frame>,
}

impl FrameReader {
    pub fn new(pool: Arc<BufPool>, budget: MemoryBudget, max_size: usize) -> Self {
        Self { pool, budget, max_size, lookahead: Vec::new(), start: 0, partial: None, small: None }
    }

    /// The next frame. May be cancelled and called again: what has arrived stays here.
    pub async fn next(&mut self, stream: &TcpStream) -> Result<Frame, ReadError> {
        loop {
            if let Some(frame) = self.grant().await {
                return Ok(frame);
            }
            if self.partial.is_none() {
                if let Some(bytes) = self.take_small()? {
                    self.small = Some(Frame { bytes, permit: MemoryPermit::default() });
                    continue;
                }
                if self.partial.is_none() {
                    self.fill_lookahead(stream).await?;
                    continue;
                }
            }
            if let Some(frame) = self.fill_partial(stream).await? {
                return Ok(frame);
            }
        }
    }

    /// Whether part of a frame has arrived.
    pub fn is_inside_frame(&self) -> bool {
        self.partial.is_some() || self.small.is_some() || self.start < self.lookahead.len()
    }

    /// A whole frame out of what has been looked ahead; or a partial one is begun; or there is too little.
    fn take_small(&mut self) -> Result<Option<Bytes>, ReadError> {
        let waiting = self.lookahead.get(self.start..).unwrap_or_default();
        let Some(prefix) = waiting.first_chunk::<4>() else { return Ok(None) };
        let claimed = i32::from_be_bytes(*prefix);
        let limit = self.max_size;
        let too_large = |limit| ReadError::TooLarge { claimed: i64::from(claimed), limit };
        let size = usize::try_from(claimed).ok().filter(|size| *size <= limit).ok_or_else(|| too_large(limit))?;
        let body = waiting.get(4..).unwrap_or_default();
        if let Some(frame) = body.get(..size) {
            let frame = Bytes::copy_from_slice(frame);
            self.start += 4 + size;
            return Ok(Some(frame));
        }
        // A frame that fits may as well be waited for here.
        if 4 + size <= LOOKAHEAD {
            return Ok(None);
        }
        // So must the API be.
        let Some(api) = body.first_chunk::<2>() else { return Ok(None) };
        let has_records = i16::from_be_bytes(*api) == ApiKey::Produce.code();
        if !has_records && size > MAX_PLAIN {
            return Err(too_large(MAX_PLAIN));
        }
        let mut buffer = self.pool.take(size.min(AT_ONCE));
        buffer.extend_from_slice(body);
        self.start = self.lookahead.len();
        let looked = (Instant::now(), 0);
        let factor = if has_records { 1 } else { PLAIN_FACTOR };
        self.partial = Some(Partial { size, factor, buffer, permit: MemoryPermit::default(), looked });
        Ok(None)
    }

    async fn grant(&mut self) -> Option<Frame> {
        let frame = self.small.as_mut()?;
        self.budget.cover_small(&mut frame.permit, frame.bytes.len()).await;
        self.small.take()
    }

    async fn fill_lookahead(&mut self, stream: &TcpStream) -> Result<(), ReadError> {
        self.lookahead.drain(..self.start);
        self.start = 0;
        if self.lookahead.is_empty() && self.lookahead.capacity() > 0 {
            // An idle connection holds no buffer.
            self.lookahead = Vec::new();
        }
        let room = LOOKAHEAD - self.lookahead.len();
        let lookahead = &mut self.lookahead;
        let got = read(stream, || {
            lookahead.reserve_exact(room);
            stream.try_read_buf(&mut (&mut *lookahead).limit(room))
        })
        .await?;
        match got {
            0 if self.lookahead.is_empty() => Err(ReadError::Closed),
            0 => Err(ReadError::Torn),
            _ => Ok(()),
        }
    }

    /// Receive more of a large frame; the whole of it when it is complete.
    async fn fill_partial(&mut self, stream: &TcpStream) -> Result<Option<Frame>, ReadError> {
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let missing = partial.size - partial.buffer.len();
        if missing > 0 {
            let step = missing.min(STEP);
            let bytes = (partial.buffer.len() + step).saturating_mul(partial.factor);
            self.budget.cover(&mut partial.permit, bytes).await;
            let buffer = &mut *partial.buffer;
            // Doubles like any vector where the frame was too large for a buffer at once.
            let more = read(stream, || {
                buffer.reserve(step);
                stream.try_read_buf(&mut (&mut *buffer).limit(step))
            });
            let (since, before) = partial.looked;
            match timeout_at(since + WINDOW, more).await {
                Ok(Ok(0)) => return Err(ReadError::Torn),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    if self.budget.is_contended() && partial.buffer.len() - before < WINDOW_BYTES {
                        return Err(ReadError::Stalled);
                    }
                    partial.looked = (Instant::now(), partial.buffer.len());
                }
            }
        }
        if partial.buffer.len() < partial.size {
            return Ok(None);
        }
        let done = self.partial.take();
        Ok(done.map(|partial| Frame { bytes: partial.buffer.freeze(), permit: partial.permit }))
    }
}

async fn read(stream: &TcpStream, mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = levada_env::net::listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn reader(max_size: usize) -> FrameReader {
        FrameReader::new(BufPool::new(1 << 20), MemoryBudget::new(64 << 20), max_size)
    }

    fn frame(size: usize, fill: u8) -> Vec<u8> {
        let mut bytes = (size as i32).to_be_bytes().to_vec();
        bytes.resize(size + 4, fill);
        bytes
    }

    #[tokio::test]
    async fn frames_of_all_sizes_arrive_whole_however_they_are_cut() {
        let sizes = [0, 1, 100, LOOKAHEAD - 4, LOOKAHEAD - 3, LOOKAHEAD, 100_000, AT_ONCE + 12345, 7];
        let all: Vec<u8> = sizes.iter().enumerate().flat_map(|(i, size)| frame(*size, i as u8)).collect();
        let (mut client, server) = pair().await;
        tokio::spawn(async move {
            for chunk in all.chunks(3571) {
                client.write_all(chunk).await.unwrap();
            }
            client
        });
        let mut reader = reader(100 << 20);
        for (i, size) in sizes.iter().enumerate() {
            let frame = reader.next(&server).await.unwrap();
            assert_eq!(frame.bytes.len(), *size);
            assert!(frame.bytes.iter().all(|byte| *byte == i as u8));
        }
    }

    #[tokio::test]
    async fn a_claim_takes_no_memory_and_too_large_or_negative_ones_are_refused() {
        let (mut client, server) = pair().await;
        client.write_all(&(90i32 << 20).to_be_bytes()).await.unwrap();
        client.write_all(&[0; 5000]).await.unwrap();
        let mut first = reader(100 << 20);
        let wait = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, first.next(&server)).await.is_err());
        let partial = first.partial.as_ref().unwrap();
        assert!(partial.buffer.capacity() <= AT_ONCE);
        assert!(first.budget.available() >= (63 << 20));
        for claim in [-1i32, i32::MIN, (100 << 20) + 1, i32::MAX] {
            let (mut client, server) = pair().await;
            client.write_all(&claim.to_be_bytes()).await.unwrap();
            assert!(matches!(reader(100 << 20).next(&server).await, Err(ReadError::TooLarge { .. })));
        }
    }

    #[tokio::test]
    async fn a_large_request_without_records_is_refused_and_a_smaller_one_accounted_for_as_decoded() {
        let header = |size: usize, api: ApiKey| [&(size as i32).to_be_bytes()[..], &api.code().to_be_bytes()].concat();
        let (mut client, server) = pair().await;
        client.write_all(&header(MAX_PLAIN + 1, ApiKey::Metadata)).await.unwrap();
        let mut refused = reader(100 << 20);
        assert!(matches!(refused.next(&server).await, Err(ReadError::TooLarge { limit: MAX_PLAIN, .. })));
        for (api, factor) in [(ApiKey::Metadata, PLAIN_FACTOR), (ApiKey::Produce, 1)] {
            let (mut client, server) = pair().await;
            let mut reader = reader(100 << 20);
            let sent = tokio::spawn(async move {
                client.write_all(&header(1 << 20, api)).await.unwrap();
                client.write_all(&vec![1; (1 << 20) - 2]).await.unwrap();
                client
            });
            let frame = reader.next(&server).await.unwrap();
            assert_eq!(frame.bytes.len(), 1 << 20);
            assert_eq!(reader.budget.available(), (64 << 20) - (factor << 20));
            sent.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_small_frame_that_waits_for_memory_survives_a_cancelled_call() {
        let budget = MemoryBudget::new(64 << 10);
        let (mut all, mut overdraft) = (MemoryPermit::default(), MemoryPermit::default());
        budget.cover(&mut all, 64 << 10).await;
        budget.cover(&mut overdraft, 1).await;
        let mut small = MemoryPermit::default();
        budget.cover_small(&mut small, 4 << 20).await;
        let mut reader = FrameReader::new(BufPool::new(1 << 20), budget, 1 << 20);
        let (mut client, server) = pair().await;
        client.write_all(&[frame(100, 7), frame(50, 8)].concat()).await.unwrap();
        let wait = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, reader.next(&server)).await.is_err());
        assert!(reader.is_inside_frame());
        drop((all, overdraft, small));
        assert_eq!(reader.next(&server).await.unwrap().bytes, vec![7; 100]);
        assert_eq!(reader.next(&server).await.unwrap().bytes, vec![8; 50]);
    }

    #[tokio::test]
    async fn a_torn_frame_is_told_from_a_closed_connection() {
        let (mut client, server) = pair().await;
        client.write_all(&[0, 0, 1, 0, 5]).await.unwrap();
        drop(client);
        assert!(matches!(reader(1000).next(&server).await, Err(ReadError::Torn)));
        let (client, server) = pair().await;
        drop(client);
        assert!(matches!(reader(1000).next(&server).await, Err(ReadError::Closed)));
    }
}
