//! Decompression as a stream, and how much memory a stream's decoder takes: for passing over records without holding all of them.

use std::io::{self, Cursor, Read};

use bytes::Bytes;

use super::compression::{XERIAL_HEADER_LEN, XERIAL_MAGIC, snappy_block};
use super::{Compression, RecordError};

/// What flate2 keeps.
const GZIP_MEMORY: usize = 64 << 10;
/// A zstd decoder without its window: tables and two blocks.
const ZSTD_MEMORY: usize = 512 << 10;
/// The largest window zstd's decoders take unless told otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Later frames of one block may have a window of this size, whatever the first has. No producer makes several frames.
const ZSTD_WINDOW_LOG_FREE: u32 = 23;

/// A decoder of `input`. What it gives is not bounded; `block_limit` bounds what snappy, which has no streams, unpacks at once.
pub(super) fn decoder(
    codec: Compression,
    input: Bytes,
    block_limit: usize,
) -> Result<Box<dyn Read + Send + Sync>, RecordError> {
    Ok(match codec {
        Compression::None => Box::new(Cursor::new(input)),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(Cursor::new(input))),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(Cursor::new(input))),
        Compression::Snappy => Box::new(SnappyBlocks::new(input, block_limit)?),
        Compression::Zstd => {
            let window = zstd_window(&input);
            let opened = zstd::stream::read::Decoder::with_buffer(Cursor::new(input)).and_then(|mut decoder| {
                let window = window.clamp(1 << ZSTD_WINDOW_LOG_FREE, 1 << ZSTD_WINDOW_LOG_MAX);
                decoder.window_log_max(window.next_power_of_two().trailing_zeros())?;
                Ok(decoder)
            });
            Box::new(opened.map_err(|error| failed(codec, error))?)
        }
    })
}

/// The most memory that a decoder of `input` takes, read off the input's headers.
pub(super) fn decoder_memory(codec: Compression, input: &[u8], block_limit: usize) -> usize {
    match codec {
        Compression::None => 0,
        Compression::Gzip => GZIP_MEMORY,
        Compression::Lz4 => lz4_memory(input),
        Compression::Zstd => {
            ZSTD_MEMORY + zstd_window(input).clamp(1 << ZSTD_WINDOW_LOG_FREE, 1 << ZSTD_WINDOW_LOG_MAX)
        }
        Compression::Snappy => snappy_memory(input).min(block_limit),
    }
}

/// A decoder's error. What this crate put into one comes out again.
pub(super) fn failed(codec: Compression, error: io::Error) -> RecordError {
    match error.downcast::<RecordError>() {
        Ok(ours) => ours,
        Err(error) => RecordError::Decompress { codec, reason: error.to_string() },
    }
}

/// A block of input, one or two of output, and the prefix.
fn lz4_memory(input: &[u8]) -> usize {
    const LEGACY: [u8; 4] = 0x184C_2102u32.to_le_bytes();
    let block = match input.get(5).map(|descriptor| descriptor >> 4 & 7) {
        _ if input.starts_with(&LEGACY) => 8 << 20,
        Some(id @ 4..=7) => 1usize << (8 + 2 * id),
        // Not a block size: the decoder refuses it.
        _ => 0,
    };
    3 * block + (64 << 10)
}

/// The window of the first frame: what its decoder keeps of its output.
fn zstd_window(input: &[u8]) -> usize {
    zstd_window_field(input).map_or(0, |window| usize::try_from(window).unwrap_or(usize::MAX))
}

fn zstd_window_field(input: &[u8]) -> Option<u64> {
    let rest = input.strip_prefix(&0xFD2F_B528u32.to_le_bytes())?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = rest.first()?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: the window is the content, whose size follows the dictionary's id.
    let id_bytes = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied()?;
    let size = rest.get(id_bytes..)?;
    match descriptor >> 6 {
        0 => size.first().map(|size| u64::from(*size)),
        1 => size.first_chunk().map(|size| u64::from(u16::from_le_bytes(*size)) + 256),
        2 => size.first_chunk().map(|size| u64::from(u32::from_le_bytes(*size))),
        _ => size.first_chunk().map(|size| u64::from_le_bytes(*size)),
    }
}

/// The largest block, as the blocks claim. Claims above what snappy can expand to are refused before memory is taken.
fn snappy_memory(input: &[u8]) -> usize {
    let block = |block: &[u8]| snap::raw::decompress_len(block).unwrap_or(0).min(block.len().saturating_mul(64));
    let Some(mut rest) = xerial_blocks(input) else { return block(input) };
    let mut largest = 0;
    while let Ok(Some(next)) = next_block(&mut rest) {
        largest = largest.max(block(next));
    }
    largest
}

/// What follows xerial's header, where there is one.
fn xerial_blocks(input: &[u8]) -> Option<&[u8]> {
    input.starts_with(&XERIAL_MAGIC).then(|| input.get(XERIAL_HEADER_LEN..).unwrap_or_default())
}

/// Takes a block of xerial's framing off the front of `rest`.
fn next_block<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let fail = |reason: &str| RecordError::Decompress { codec: Compression::Snappy, reason: reason.to_owned() };
    if rest.is_empty() {
        return Ok(None);
    }
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| fail("block length is cut off"))?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| fail("negative block length"))?;
    let (block, after) = after.split_at_checked(length).ok_or_else(|| fail("block is cut off"))?;
    *rest = after;
    Ok(Some(block))
}

/// Snappy, block by block.
struct SnappyBlocks {
    input: Bytes,
    /// Of `input`, where the next block begins.
    next: usize,
    /// Without xerial's framing all of `input` is one block.
    framed: bool,
    block: Vec<u8>,
    at: usize,
    limit: usize,
}

impl SnappyBlocks {
    fn new(input: Bytes, limit: usize) -> Result<Self, RecordError> {
        let framed = input.starts_with(&XERIAL_MAGIC);
        if framed && input.len() < XERIAL_HEADER_LEN {
            let reason = "header is cut off".to_owned();
            return Err(RecordError::Decompress { codec: Compression::Snappy, reason });
        }
        let next = if framed { XERIAL_HEADER_LEN } else { 0 };
        Ok(Self { input, next, framed, block: Vec::new(), at: 0, limit })
    }

    fn next(&mut self) -> Result<bool, RecordError> {
        let mut rest = self.input.get(self.next..).unwrap_or_default();
        let next = if self.framed {
            next_block(&mut rest)?
        } else {
            Some(std::mem::take(&mut rest)).filter(|block| !block.is_empty())
        };
        let Some(block) = next else { return Ok(false) };
        self.at = 0;
        self.block.clear();
        snappy_block(block, self.limit, &mut self.block)?;
        self.next = self.input.len() - rest.len();
        Ok(true)
    }
}

impl Read for SnappyBlocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let mut waiting = self.block.get(self.at..).unwrap_or_default();
        let got = waiting.read(out)?;
        self.at += got;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::compress;

    #[test]
    fn memory_is_read_off_the_headers() {
        let content = vec![7; 300_000];
        let packed = |codec| {
            let mut out = Vec::new();
            compress(codec, None, &content, &mut out).unwrap();
            out
        };
        let memory = |codec| decoder_memory(codec, &packed(codec), 1 << 30);
        assert_eq!(memory(Compression::Snappy), 32 << 10);
        assert_eq!(memory(Compression::Lz4), (3 << 16) + (64 << 10));
        assert_eq!(zstd_window(&packed(Compression::Zstd)), 300_000, "a single segment");
        // A window of 2^27 bytes, then one that no decoder takes.
        let claim = |exponent: u8| [0x28, 0xB5, 0x2F, 0xFD, 0, (exponent - 10) << 3, 0];
        assert_eq!(zstd_window(&claim(27)), 128 << 20);
        assert_eq!(decoder_memory(Compression::Zstd, &claim(41), 1 << 30), ZSTD_MEMORY + (128 << 20));
        let mut none = [0; 10];
        assert!(
            decoder(Compression::Zstd, Bytes::copy_from_slice(&claim(28)), 1 << 30).unwrap().read(&mut none).is_err()
        );
    }
}
