//! Walking the batch headers of a log file.

use std::io;
use std::sync::Arc;

use levada_env::DiskFile;
use levada_wire::records::{BatchHeader, HEADER_LEN};

/// Bytes read at a time.
const SCAN_READ: usize = 4096;

/// A batch found by scanning a log file.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct Found {
    pub(in crate::log) header: BatchHeader,
    pub(in crate::log) position: u64,
}

impl Found {
    pub(in crate::log) fn end(&self) -> u64 {
        self.position + self.header.size() as u64
    }
}

/// Walks batch headers through a log file, reading a little at a time. Ends at the end of the range or after an error.
#[derive(Debug)]
pub(in crate::log) struct HeaderScan {
    file: Arc<dyn DiskFile>,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    failed: bool,
}

impl HeaderScan {
    /// A walk from `position`, where a batch begins, to `end`.
    pub(in crate::log) fn new(file: Arc<dyn DiskFile>, position: u64, end: u64) -> Self {
        Self { file, position, end, buffer: Vec::new(), buffer_at: 0, failed: false }
    }

    fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let inside = self.position.checked_sub(self.buffer_at).map(|skip| skip as usize);
        if inside.is_none_or(|skip| skip + HEADER_LEN > self.buffer.len()) {
            let length = (self.end - self.position).min(SCAN_READ as u64) as usize;
            self.buffer.resize(length, 0);
            self.buffer_at = self.position;
            self.file.read_exact_at(&mut self.buffer, self.position)?;
        }
        let skip = (self.position - self.buffer_at) as usize;
        Ok(self.buffer.get(skip..).unwrap_or_default())
    }

    fn read(&mut self) -> io::Result<Found> {
        let (position, end) = (self.position, self.end);
        let damaged = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let header = BatchHeader::parse(self.header_bytes()?)
            .map_err(|error| damaged(format!("at position {position}: {error}")))?;
        let found = Found { header, position };
        if found.end() > end {
            return Err(damaged(format!("the batch at position {position} reaches past the end")));
        }
        if header.last_offset_delta < 0 {
            return Err(damaged(format!("the batch at position {position} ends before it begins")));
        }
        self.position = found.end();
        Ok(found)
    }
}

impl Iterator for HeaderScan {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position >= self.end {
            return None;
        }
        let found = self.read();
        self.failed = found.is_err();
        Some(found)
    }
}
