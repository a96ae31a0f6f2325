//! Between the reading thread and the task's: bounded by bytes and records.

use crate::error::Error;
use levada_connector_api::{SourceOffset, SourceRecord};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Records, and the offset that is true behind them.
#[derive(Debug)]
pub struct Chunk {
    /// Records in order.
    pub records: Vec<SourceRecord>,
    /// Shapes of tables that are told by them, by the tables' numbers.
    pub shapes: Vec<(u32, SourceOffset)>,
    /// Offset behind the last of them.
    pub offset: Option<SourceOffset>,
    /// Bytes of memory, about.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    records: usize,
    bytes: usize,
    /// How the reading ended.
    end: Option<Result<(), Error>>,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Notify,
    most_records: usize,
    most_bytes: usize,
}

/// What a reader of the queue gets.
#[derive(Debug)]
pub enum Popped {
    /// Records.
    Chunk(Chunk),
    /// None in time.
    Nothing,
    /// None any more.
    End(Result<(), Error>),
}

impl Queue {
    /// With these bounds; one chunk always fits.
    pub fn new(most_records: usize, most_bytes: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), emptied: Notify::new(), most_records, most_bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a chunk in, or gives it back when there is no room.
    pub fn push(&self, chunk: Chunk) -> Result<(), Chunk> {
        let mut state = self.state();
        let full =
            state.bytes + chunk.bytes > self.most_bytes || state.records + chunk.records.len() > self.most_records;
        if full && !state.chunks.is_empty() {
            return Err(chunk);
        }
        state.bytes += chunk.bytes;
        state.records += chunk.records.len();
        state.chunks.push_back(chunk);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until something was taken out.
    pub async fn emptied(&self) {
        self.emptied.notified().await;
    }

    /// Says that nothing comes any more.
    pub fn end(&self, end: Result<(), Error>) {
        self.state().end = Some(end);
        self.filled.notify_one();
    }

    /// The next chunk, waiting up to `wait` for it.
    pub fn pop(&self, wait: Duration) -> Popped {
        let idle = |state: &mut State| state.chunks.is_empty() && state.end.is_none();
        let waited = self.filled.wait_timeout_while(self.state(), wait, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(chunk) = state.chunks.pop_front() else {
            return state.end.take().map_or(Popped::Nothing, Popped::End);
        };
        state.bytes -= chunk.bytes;
        state.records -= chunk.records.len();
        drop(state);
        self.emptied.notify_one();
        Popped::Chunk(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: usize) -> Chunk {
        Chunk { records: Vec::new(), shapes: Vec::new(), offset: None, bytes }
    }

    #[test]
    fn one_chunk_always_fits_and_the_end_comes_last() {
        let queue = Queue::new(10, 100);
        queue.push(chunk(1000)).unwrap();
        assert!(queue.push(chunk(1)).is_err());
        queue.end(Ok(()));
        assert!(matches!(queue.pop(Duration::ZERO), Popped::Chunk(_)));
        assert!(matches!(queue.pop(Duration::ZERO), Popped::End(Ok(()))));
        assert!(matches!(queue.pop(Duration::ZERO), Popped::Nothing));
    }
}
