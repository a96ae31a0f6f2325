//! The sparse offset index of a segment: `%020d.index`, entries of int32 relative offset and int32 file position, one per
//! `index.interval.bytes`.
//!
//! An entry holds the last offset of a batch and where that batch starts, as Kafka's do. The active segment's index lives in memory and is
//! written out now and then; after a crash it is rebuilt from the log, so the file need not be durable before the segment is rolled.

/// Bytes of an entry on disk.
pub(super) const ENTRY_LEN: usize = 8;

/// Entries in memory, with how many of them the file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OffsetIndex {
    entries: Vec<(u32, u32)>,
    pub(super) written: usize,
}

impl OffsetIndex {
    /// Reads a file; `None` where it is not an index of a log file of `log_size` bytes (cut off, not rising, past the end).
    pub(super) fn decode(bytes: &[u8], log_size: u64) -> Option<Self> {
        if !bytes.len().is_multiple_of(ENTRY_LEN) {
            return None;
        }
        let mut entries: Vec<(u32, u32)> = Vec::with_capacity(bytes.len() / ENTRY_LEN);
        for chunk in bytes.chunks_exact(ENTRY_LEN) {
            let (offset, position) = chunk.split_first_chunk::<4>()?;
            let (offset, position) = (u32::from_be_bytes(*offset), u32::from_be_bytes(*position.first_chunk()?));
            if entries.last().is_some_and(|last| offset <= last.0 || position <= last.1)
                || u64::from(position) >= log_size
            {
                return None;
            }
            entries.push((offset, position));
        }
        let written = entries.len();
        Some(Self { entries, written })
    }

    pub(super) fn push(&mut self, relative_offset: u32, position: u32) {
        if self.entries.last().is_none_or(|last| relative_offset > last.0 && position > last.1) {
            self.entries.push((relative_offset, position));
        }
    }

    /// Where to start scanning for `relative_offset`: a batch that ends at or before it.
    pub(super) fn position_for_offset(&self, relative_offset: u32) -> u32 {
        let after = self.entries.partition_point(|entry| entry.0 <= relative_offset);
        after.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(0, |entry| entry.1)
    }

    /// The last batch start known at or before `position`.
    pub(super) fn position_before(&self, position: u32) -> u32 {
        let after = self.entries.partition_point(|entry| entry.1 <= position);
        after.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(0, |entry| entry.1)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn last(&self) -> Option<(u32, u32)> {
        self.entries.last().copied()
    }

    /// The bytes of the entries the file does not have yet, and where they go.
    pub(super) fn unwritten(&self) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        for (offset, position) in self.entries.iter().skip(self.written) {
            out.extend_from_slice(&offset.to_be_bytes());
            out.extend_from_slice(&position.to_be_bytes());
        }
        (out, (self.written * ENTRY_LEN) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_give_the_nearest_entry_in_front() {
        let mut index = OffsetIndex::default();
        for (offset, position) in [(9, 100), (19, 200), (29, 300)] {
            index.push(offset, position);
        }
        assert_eq!([0, 8, 9, 18, 19, 99].map(|o| index.position_for_offset(o)), [0, 0, 100, 100, 200, 300]);
        assert_eq!([0, 99, 100, 250, 1000].map(|p| index.position_before(p)), [0, 0, 100, 200, 300]);
        let (bytes, at) = index.unwritten();
        assert_eq!((bytes.len(), at), (24, 0));
        let read = OffsetIndex::decode(&bytes, 301).unwrap();
        assert_eq!(read.last(), Some((29, 300)));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let mut index = OffsetIndex::default();
        index.push(9, 100);
        index.push(19, 200);
        let (bytes, _) = index.unwritten();
        assert!(OffsetIndex::decode(&bytes[..15], 1000).is_none(), "cut off");
        assert!(OffsetIndex::decode(&bytes, 200).is_none(), "past the end of the log");
        let swapped = [&bytes[8..], &bytes[..8]].concat();
        assert!(OffsetIndex::decode(&swapped, 1000).is_none(), "not rising");
        assert!(OffsetIndex::decode(&[0; 16], 1000).is_none(), "a hole of zeros");
    }
}
