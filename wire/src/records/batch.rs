//! Whole batches out of `Bytes`.

use std::collections::VecDeque;

use bytes::Bytes;

use super::decoder::decoder_memory;
use super::{BatchHeader, Compression, HEADER_LEN, RecordError, RecordIter, decompress};

/// One whole batch. The header is kept by value, so the batch can come from two pieces of memory (the log patches headers in a copy and
/// leaves the records where they were received).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The header.
    pub header: BatchHeader,
    /// Everything after the header, compressed as the header says.
    pub records: Bytes,
}

impl Batch {
    /// Splits the batch at the front off `input`.
    pub fn split_from(input: &mut Bytes) -> Result<Self, RecordError> {
        let header = BatchHeader::parse(input)?;
        if input.len() < header.size() {
            return Err(RecordError::Truncated { needed: header.size(), available: input.len() });
        }
        let mut whole = input.split_to(header.size());
        let records = whole.split_off(HEADER_LEN);
        Ok(Self { header, records })
    }

    /// Checks the checksum.
    pub fn verify_crc(&self) -> Result<(), RecordError> {
        let computed = self.header.with_crc_over(&self.records).crc;
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(RecordError::CrcMismatch { stored: self.header.crc, computed })
        }
    }

    /// The records block, decompressed to at most `limit` bytes; shared, not copied, where it is not compressed.
    pub fn decompressed(&self, limit: usize) -> Result<Bytes, RecordError> {
        match self.header.compression()? {
            Compression::None => Ok(self.records.clone()),
            codec => Ok(Bytes::from(decompress(codec, &self.records, limit)?)),
        }
    }

    /// Bytes of memory that unpacking the records as a stream may take, whatever they unpack to.
    pub fn walk_memory(&self, limit: usize) -> usize {
        self.header.compression().map_or(0, |codec| decoder_memory(codec, &self.records, limit))
    }

    /// The records, decompressed to at most `limit` bytes.
    pub fn records(&self, limit: usize) -> Result<RecordIter, RecordError> {
        RecordIter::of(self, limit)
    }

    /// The batch as one piece of memory.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.header.size());
        out.extend_from_slice(&self.header.to_bytes());
        out.extend_from_slice(&self.records);
        Bytes::from(out)
    }
}

/// Batches one after another. Stops at the first error, and quietly at a batch cut off at the end, which a fetch answer may have.
#[derive(Debug, Clone, Default)]
pub struct BatchIter {
    chunks: VecDeque<Bytes>,
    failed: bool,
}

impl BatchIter {
    /// Batches of one piece of memory.
    pub fn new(bytes: Bytes) -> Self {
        Self::of_chunks([bytes])
    }

    /// Batches of several pieces. A piece may end after a header, its records being the front of the next piece; other cuts inside a batch
    /// cost a copy of that batch.
    pub fn of_chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        Self { chunks: chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect(), failed: false }
    }

    fn take(&mut self) -> Result<Option<Batch>, RecordError> {
        let Some(first) = self.chunks.front() else { return Ok(None) };
        if first.len() < HEADER_LEN && !self.join(HEADER_LEN) {
            return Ok(None);
        }
        let Some(first) = self.chunks.front() else { return Ok(None) };
        let header = BatchHeader::parse(first)?;
        let body = header.size() - HEADER_LEN;
        let first_len = first.len();
        if first_len == HEADER_LEN && self.chunks.get(1).is_some_and(|next| next.len() >= body) {
            self.chunks.pop_front();
            return Ok(self.split_front(body).map(|records| Batch { header, records }));
        }
        if first_len < header.size() && !self.join(header.size()) {
            return Ok(None);
        }
        Ok(self.split_front(header.size()).map(|mut whole| Batch { header, records: whole.split_off(HEADER_LEN) }))
    }

    fn split_front(&mut self, length: usize) -> Option<Bytes> {
        let front = self.chunks.front_mut()?;
        let taken = front.split_to(length.min(front.len()));
        if front.is_empty() {
            self.chunks.pop_front();
        }
        Some(taken)
    }

    /// Makes the first piece at least `length` long by copying; false where there is not that much.
    fn join(&mut self, length: usize) -> bool {
        if self.chunks.iter().map(Bytes::len).sum::<usize>() < length {
            return false;
        }
        let mut joined = Vec::with_capacity(length);
        while joined.len() < length {
            match self.split_front(length - joined.len()) {
                Some(piece) => joined.extend_from_slice(&piece),
                None => return false,
            }
        }
        self.chunks.push_front(Bytes::from(joined));
        true
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.take();
        self.failed = next.is_err();
        next.transpose()
    }
}
