//! The sparse time index of a segment: `%020d.timeindex`, entries of int64 timestamp and int32 relative offset.
//!
//! An entry says: no batch up to this offset has a larger timestamp. The last entry of a closed segment is its largest timestamp.

/// Bytes of an entry on disk.
pub(super) const ENTRY_LEN: usize = 12;

/// Entries in memory, with how many of them the file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TimeIndex {
    entries: Vec<(i64, u32)>,
    pub(super) written: usize,
}

impl TimeIndex {
    /// Reads a file; `None` where it is not a time index (cut off, not rising).
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(ENTRY_LEN) {
            return None;
        }
        let mut entries: Vec<(i64, u32)> = Vec::with_capacity(bytes.len() / ENTRY_LEN);
        for chunk in bytes.chunks_exact(ENTRY_LEN) {
            let (timestamp, offset) = chunk.split_first_chunk::<8>()?;
            let (timestamp, offset) = (i64::from_be_bytes(*timestamp), u32::from_be_bytes(*offset.first_chunk()?));
            if entries.last().is_some_and(|last| timestamp <= last.0 || offset < last.1) {
                return None;
            }
            entries.push((timestamp, offset));
        }
        let written = entries.len();
        Some(Self { entries, written })
    }

    /// Adds an entry if it is a new largest timestamp.
    pub(super) fn push(&mut self, timestamp: i64, relative_offset: u32) {
        if timestamp >= 0 && self.entries.last().is_none_or(|last| timestamp > last.0 && relative_offset >= last.1) {
            self.entries.push((timestamp, relative_offset));
        }
    }

    /// The relative offset from which to scan for a record with at least `timestamp`.
    pub(super) fn offset_for_timestamp(&self, timestamp: i64) -> u32 {
        // Strictly smaller: the batch of an entry with exactly this timestamp holds the answer.
        let after = self.entries.partition_point(|entry| entry.0 < timestamp);
        after.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(0, |entry| entry.1)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn last(&self) -> Option<(i64, u32)> {
        self.entries.last().copied()
    }

    /// The bytes of the entries the file does not have yet, and where they go.
    pub(super) fn unwritten(&self) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        for (timestamp, offset) in self.entries.iter().skip(self.written) {
            out.extend_from_slice(&timestamp.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
        }
        (out, (self.written * ENTRY_LEN) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_rise_and_look_ups_start_before_the_answer() {
        let mut index = TimeIndex::default();
        for (timestamp, offset) in [(100, 9), (100, 19), (50, 29), (200, 39), (-1, 49)] {
            index.push(timestamp, offset);
        }
        assert_eq!(index.len(), 2);
        assert_eq!([0, 100, 101, 200, 201].map(|t| index.offset_for_timestamp(t)), [0, 0, 9, 9, 39]);
        let (bytes, _) = index.unwritten();
        assert_eq!(TimeIndex::decode(&bytes).unwrap().last(), Some((200, 39)));
        assert!(TimeIndex::decode(&bytes[..23]).is_none());
        assert!(TimeIndex::decode(&[&bytes[12..], &bytes[..12]].concat()).is_none());
    }
}
