//! A bounds-checked cursor over one message.
//!
//! Invariants (9): no method panics on any input; a length is believed only after it has been compared with the bytes left; the memory
//! taken for array elements is bounded by [`BUDGET_FACTOR`] times the message's size plus [`BUDGET_SLACK`], whatever the elements' size
//! in memory is.

use bytes::Bytes;

use super::DecodeError;

/// Memory for decoded array elements per encoded byte.
const BUDGET_FACTOR: usize = 8;
/// Memory for decoded array elements that every message may take, however short.
const BUDGET_SLACK: usize = 64 * 1024;
/// First allocation for an array; past it the vector grows as elements are really read.
const FIRST_ALLOCATION: usize = 16 * 1024;

/// A cursor over one encoded message. Byte fields are slices of the message (no copy): keep in mind that holding one keeps the whole
/// frame alive.
#[derive(Debug)]
pub struct Reader {
    frame: Bytes,
    pos: usize,
    end: usize,
    budget: usize,
}

impl Reader {
    /// A reader over `frame`, which starts with the message and may go on after it.
    pub fn new(frame: Bytes) -> Self {
        let end = frame.len();
        let budget = end.saturating_mul(BUDGET_FACTOR).saturating_add(BUDGET_SLACK);
        Self { frame, pos: 0, end, budget }
    }

    /// Bytes not read yet (inside a tagged field: of that field).
    pub fn remaining(&self) -> usize {
        self.end - self.pos
    }

    /// What has not been read.
    pub fn into_rest(self) -> Bytes {
        self.frame.slice(self.pos..)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&[u8], DecodeError> {
        let start = self.advance(n)?;
        Ok(self.frame.get(start..self.pos).unwrap_or_default())
    }

    /// The next `n` bytes as a slice of the frame.
    pub fn take_bytes(&mut self, n: usize) -> Result<Bytes, DecodeError> {
        let start = self.advance(n)?;
        Ok(self.frame.slice(start..self.pos))
    }

    /// The next `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let left = self.remaining();
        let chunk = self.take(N)?.first_chunk::<N>();
        chunk.copied().ok_or(DecodeError::UnexpectedEnd { needed: N, left })
    }

    /// Unsigned variable-length integer of up to 32 bits.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0u32, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// Length of a string: compact in flexible versions, else 16 bits. `None` is null.
    pub fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.compact_length();
        }
        signed_length(i64::from(i16::from_be_bytes(self.fixed()?)))
    }

    /// Length of a byte field or array: compact in flexible versions, else 32 bits. `None` is null.
    pub fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.compact_length();
        }
        signed_length(i64::from(i32::from_be_bytes(self.fixed()?)))
    }

    /// Checks that an array of `claimed` elements of `element_size` bytes in memory is plausible, books its memory, and says how many
    /// elements to allocate for at first.
    pub fn admit_array(&mut self, claimed: usize, element_size: usize) -> Result<usize, DecodeError> {
        let left = self.remaining();
        // Every element takes at least one byte.
        if claimed > left {
            return Err(DecodeError::ArrayTooLong { claimed, left });
        }
        let memory = claimed.saturating_mul(element_size);
        self.budget = self.budget.checked_sub(memory).ok_or(DecodeError::OverBudget { frame: self.frame.len() })?;
        Ok(claimed.min(FIRST_ALLOCATION / element_size.max(1) + 1))
    }

    /// Reads a tagged-field section. `read` gets each tag with the reader set to the field's content and answers whether it knows the
    /// tag; content of an unknown tag is skipped, content of a known one must fill its size.
    pub fn tags<F>(&mut self, mut read: F) -> Result<(), DecodeError>
    where
        F: FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    {
        let count = self.uvarint()?;
        let mut seen = 0u64;
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            if let Some(bit) = 1u64.checked_shl(tag) {
                if seen & bit != 0 {
                    return Err(DecodeError::DuplicateTag(tag));
                }
                seen |= bit;
            }
            self.tag_content(tag, size, &mut read)?;
        }
        Ok(())
    }

    /// Skips a tagged-field section of which no tag is known.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(false))
    }

    fn tag_content<F>(&mut self, tag: u32, size: usize, read: &mut F) -> Result<(), DecodeError>
    where
        F: FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    {
        let left = self.remaining();
        if size > left {
            return Err(DecodeError::UnexpectedEnd { needed: size, left });
        }
        let outer_end = self.end;
        self.end = self.pos + size;
        let known = read(self, tag)?;
        let left = self.remaining();
        if known && left > 0 {
            return Err(DecodeError::TagSize { tag, left });
        }
        self.pos = self.end;
        self.end = outer_end;
        Ok(())
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    fn advance(&mut self, n: usize) -> Result<usize, DecodeError> {
        let left = self.remaining();
        if n > left {
            return Err(DecodeError::UnexpectedEnd { needed: n, left });
        }
        let start = self.pos;
        self.pos += n;
        Ok(start)
    }
}

fn signed_length(length: i64) -> Result<Option<usize>, DecodeError> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| DecodeError::NegativeLength(length)),
    }
}
