//! Counters of the request path: relaxed atomics, read by `Broker::metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use levada_wire::ApiKey;

/// Keys below this have a counter each.
const KEYS: usize = 128;

/// Counters of one broker.
#[derive(Debug)]
pub struct Metrics {
    requests: [AtomicU64; KEYS],
    /// Bytes of requests read from sockets.
    pub bytes_received: Counter,
    /// Bytes of answers written to sockets.
    pub bytes_sent: Counter,
    /// Bytes of record batches produced.
    pub produced_bytes: Counter,
    /// Record batches produced.
    pub produced_batches: Counter,
    /// Bytes of records fetched.
    pub fetched_bytes: Counter,
    /// Partitions read for fetches, those that gave nothing included.
    pub fetch_reads: Counter,
    /// Produce requests refused, per partition.
    pub failed_produces: Counter,
    /// Fetch requests refused, per partition.
    pub failed_fetches: Counter,
    /// Connections accepted.
    pub connections_opened: Counter,
    /// Connections closed.
    pub connections_closed: Counter,
    /// Connections closed because of what was sent on them.
    pub malformed_requests: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Count `amount` more.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; KEYS],
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            produced_bytes: Counter::default(),
            produced_batches: Counter::default(),
            fetched_bytes: Counter::default(),
            fetch_reads: Counter::default(),
            failed_produces: Counter::default(),
            failed_fetches: Counter::default(),
            connections_opened: Counter::default(),
            connections_closed: Counter::default(),
            malformed_requests: Counter::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn count_request(&self, key: ApiKey) {
        if let Some(counter) = self.requests.get(key.code() as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests served so far, for each API that had one.
    pub fn requests(&self) -> Vec<(ApiKey, u64)> {
        let counted = (0i16..).zip(&self.requests).map(|(code, counter)| (code, counter.load(Ordering::Relaxed)));
        counted.filter(|(_, n)| *n > 0).filter_map(|(code, n)| Some((ApiKey::from_code(code)?, n))).collect()
    }
}
