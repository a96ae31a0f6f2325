//! Records of a batch, decompressed piece by piece as they are taken: what a batch expands to is never in memory at once.

use std::fmt;
use std::io::Read;

use bytes::Bytes;

use super::decoder::{decoder, failed};
use super::record::owned;
use super::varint::read32;
use super::{Batch, BatchHeader, Compression, Record, RecordError, RecordRef};

/// Decompressed bytes that are made at a time.
const PIECE: usize = 128 << 10;

/// Records of one batch with absolute offsets and timestamps. Those of an uncompressed batch share its memory; of a
/// compressed one, those that lie in one piece share that.
pub struct RecordStream {
    header: BatchHeader,
    /// Decompressed; handed out up to `position`.
    piece: Bytes,
    position: usize,
    rest: Option<Box<dyn Read + Send + Sync>>,
    next: i32,
    record_limit: usize,
}

impl fmt::Debug for RecordStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").field("header", &self.header).field("next", &self.next).finish_non_exhaustive()
    }
}

impl RecordStream {
    /// The records of `batch`; of a compressed one, one that takes more than
    /// `record_limit` bytes is an error.
    pub fn new(batch: &Batch, record_limit: usize) -> Result<Self, RecordError> {
        let (piece, rest, record_limit) = match batch.header.compression()? {
            Compression::None => (batch.records.clone(), None, usize::MAX),
            codec => (Bytes::new(), Some(decoder(codec, batch.records.clone(), record_limit)?), record_limit),
        };
        Ok(Self { header: batch.header, piece, position: 0, rest, next: 0, record_limit })
    }

    #[cfg(test)]
    pub(super) fn piece_len(&self) -> usize {
        self.piece.len()
    }

    /// Have the whole next record in memory; how long it is, its length field included.
    fn prepare(&mut self) -> Result<usize, RecordError> {
        let invalid = |index, reason| RecordError::InvalidRecord { index, reason };
        loop {
            let ready = self.piece.get(self.position..).unwrap_or_default();
            let mut body = ready;
            let needed = match read32(&mut body) {
                Some(length) => {
                    let length = usize::try_from(length).map_err(|_| invalid(self.next, "negative length"))?;
                    ready.len() - body.len() + length
                }
                // A length takes five bytes at most.
                None if ready.len() < 5 => ready.len() + 1,
                None => return Err(invalid(self.next, "no length")),
            };
            if needed > self.record_limit {
                return Err(RecordError::DecompressedTooLarge { limit: self.record_limit });
            }
            if needed <= ready.len() {
                return Ok(needed);
            }
            if self.rest.is_none() {
                return Err(invalid(self.next, "longer than the records block"));
            }
            self.fill(needed)?;
        }
    }

    /// Decompress until `needed` bytes are ready; with less to come, the stream ends.
    fn fill(&mut self, needed: usize) -> Result<(), RecordError> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        let ready = self.piece.get(self.position..).unwrap_or_default();
        let room = needed.max(PIECE);
        let mut piece = Vec::with_capacity(room);
        piece.extend_from_slice(ready);
        let missing = room - piece.len();
        let read = rest.take(missing as u64).read_to_end(&mut piece);
        let read = read.map_err(|error| failed(self.header.compression().unwrap_or_default(), error))?;
        if read < missing {
            self.rest = None;
        }
        (self.piece, self.position) = (Bytes::from(piece), 0);
        Ok(())
    }

    fn take(&mut self) -> Result<Record, RecordError> {
        let length = self.prepare()?;
        let mut bytes = self.piece.get(self.position..self.position + length).unwrap_or_default();
        let record = RecordRef::read(&mut bytes);
        let record = record.map_err(|reason| RecordError::InvalidRecord { index: self.next, reason })?;
        let record = owned(&self.header, &self.piece, &record);
        self.position += length;
        self.next += 1;
        Ok(record)
    }
}

impl Iterator for RecordStream {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.header.records_count {
            return None;
        }
        let record = self.take();
        if record.is_err() {
            self.next = i32::MAX;
        }
        Some(record)
    }
}
