//! Where encoded messages go: one buffer, with large byte runs and external data spliced in instead of copied.

use bytes::{BufMut, Bytes, BytesMut};

use super::{EncodeError, External, Field, RecordSet};

/// Shorter runs are cheaper to copy than to send as a segment of their own.
const SPLICE_FROM: usize = 1024;

/// Room made at the start of a frame; most answers fit.
const FRAME_CAPACITY: usize = 256;

/// A piece of an encoded message, to be sent in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Data elsewhere that the sender fetches by its handle.
    External(External),
}

impl Segment {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External(external) => external.len(),
        }
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An encoded message: segments to be sent one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    segments: Vec<Segment>,
    len: usize,
}

impl Encoded {
    /// Total length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segments in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments in order, by value.
    pub fn into_segments(self) -> Vec<Segment> {
        self.segments
    }

    /// All of it as one run, copied if there are several segments.
    pub fn into_bytes(self) -> Result<Bytes, EncodeError> {
        let mut segments = self.segments.into_iter();
        let (Some(first), rest) = (segments.next(), segments.as_slice()) else { return Ok(Bytes::new()) };
        if let (Segment::Bytes(bytes), []) = (&first, rest) {
            return Ok(bytes.clone());
        }
        let mut all = BytesMut::with_capacity(self.len);
        for segment in std::iter::once(first).chain(segments) {
            match segment {
                Segment::Bytes(bytes) => all.extend_from_slice(&bytes),
                Segment::External(_) => return Err(EncodeError::ExternalRecords),
            }
        }
        Ok(all.freeze())
    }
}

/// Collects an encoded message.
#[derive(Debug, Default)]
pub struct Writer {
    buf: BytesMut,
    /// Segments that belong into `buf` at the given position.
    splices: Vec<(usize, Segment)>,
    spliced_len: usize,
    inline: bool,
}

impl Writer {
    /// A writer that splices large runs in without copying.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer on a recycled buffer; what the buffer holds becomes the start of the message.
    pub fn with_buffer(buf: BytesMut) -> Self {
        Self { buf, ..Self::default() }
    }

    /// A writer that copies everything into one buffer.
    pub fn inline() -> Self {
        Self { inline: true, ..Self::default() }
    }

    /// Bytes collected so far, spliced ones included.
    pub fn len(&self) -> usize {
        self.buf.len() + self.spliced_len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes by copying them.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.buf.put_slice(bytes);
    }

    /// Appends a run of bytes, without a copy if it is large.
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if self.inline || bytes.len() < SPLICE_FROM {
            self.buf.put_slice(bytes);
        } else {
            self.splice(Segment::Bytes(bytes.clone()));
        }
    }

    /// Appends record data (without a length prefix).
    pub fn put_records(&mut self, records: &RecordSet) -> Result<(), EncodeError> {
        match records {
            RecordSet::Bytes(bytes) => self.put_bytes(bytes),
            RecordSet::Chunks(chunks) => chunks.iter().for_each(|chunk| self.put_bytes(chunk)),
            RecordSet::External(external) if external.is_empty() => {}
            RecordSet::External(_) if self.inline => return Err(EncodeError::ExternalRecords),
            RecordSet::External(external) => self.splice(Segment::External(external.clone())),
        }
        Ok(())
    }

    /// Appends an unsigned variable-length integer.
    pub fn put_uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buf.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buf.put_u8(value as u8);
    }

    /// Appends the length of a string; `None` is null.
    pub fn put_string_length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.put_compact_length(length);
        }
        let Some(length) = length else {
            self.buf.put_i16(-1);
            return Ok(());
        };
        self.buf.put_i16(i16::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
        Ok(())
    }

    /// Appends the length of a byte field or array; `None` is null.
    pub fn put_length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.put_compact_length(length);
        }
        let Some(length) = length else {
            self.buf.put_i32(-1);
            return Ok(());
        };
        self.buf.put_i32(i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
        Ok(())
    }

    /// Appends one tagged field: tag, size, content.
    pub fn put_tag<F: Field>(&mut self, tag: u32, field: &F, version: i16) -> Result<(), EncodeError> {
        self.put_tag_content(tag, |content| field.write(content, version, true))
    }

    /// Appends one tagged field that is a struct or null: the mark of null differs from the one outside of tagged fields.
    pub(crate) fn put_tagged_struct<F: Field>(
        &mut self,
        tag: u32,
        field: Option<&F>,
        version: i16,
    ) -> Result<(), EncodeError> {
        self.put_tag_content(tag, |content| {
            content.put_uvarint(u32::from(field.is_some()));
            field.map_or(Ok(()), |value| value.write(content, version, true))
        })
    }

    fn put_tag_content<W>(&mut self, tag: u32, write: W) -> Result<(), EncodeError>
    where
        W: FnOnce(&mut Self) -> Result<(), EncodeError>,
    {
        let mut content = Self::inline();
        write(&mut content)?;
        self.put_uvarint(tag);
        self.put_uvarint(u32::try_from(content.len()).map_err(|_| EncodeError::TooLong(content.len()))?);
        self.buf.put_slice(&content.buf);
        Ok(())
    }

    /// Makes room for a 32-bit size at the very start, to be filled by [`Writer::finish_sized`].
    pub(crate) fn reserve_size(&mut self) {
        debug_assert!(self.is_empty());
        self.buf.reserve(FRAME_CAPACITY);
        self.buf.put_i32(0);
    }

    /// Ends a message whose first four bytes were reserved for its size.
    pub(crate) fn finish_sized(mut self) -> Result<Encoded, EncodeError> {
        let body = self.len().saturating_sub(size_of::<i32>());
        let size = i32::try_from(body).map_err(|_| EncodeError::TooLong(body))?;
        if let Some(slot) = self.buf.first_chunk_mut::<4>() {
            *slot = size.to_be_bytes();
        }
        Ok(self.finish())
    }

    /// Ends the message.
    pub fn finish(self) -> Encoded {
        let len = self.len();
        let buf = self.buf.freeze();
        let mut segments = Vec::with_capacity(self.splices.len() * 2 + 1);
        let mut from = 0;
        for (at, segment) in self.splices {
            if at > from {
                segments.push(Segment::Bytes(buf.slice(from..at)));
            }
            from = at;
            segments.push(segment);
        }
        if buf.len() > from {
            segments.push(Segment::Bytes(buf.slice(from..)));
        }
        Encoded { segments, len }
    }

    fn splice(&mut self, segment: Segment) {
        self.spliced_len += segment.len();
        self.splices.push((self.buf.len(), segment));
    }

    fn put_compact_length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let coded = match length {
            None => 0,
            Some(length) => u32::try_from(length)
                .ok()
                .filter(|n| *n < i32::MAX as u32)
                .map(|n| n + 1)
                .ok_or(EncodeError::TooLong(length))?,
        };
        self.put_uvarint(coded);
        Ok(())
    }
}
