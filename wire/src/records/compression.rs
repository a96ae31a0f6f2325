//! The five codecs. What comes out of a decoder is bounded by the caller's limit, whatever the input claims.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use super::RecordError;

/// Codec of a records block, by its number in the batch attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy in xerial's framing (raw snappy is read too).
    Snappy,
    /// LZ4 frame.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Of xerial's snappy framing: magic, version 1, compatible version 1.
pub(super) const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
pub(super) const XERIAL_HEADER_LEN: usize = 16;
const XERIAL_BLOCK: usize = 32 * 1024;

impl Compression {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with number `id`.
    pub fn from_id(id: u8) -> Result<Self, RecordError> {
        Self::ALL.get(usize::from(id)).copied().ok_or(RecordError::UnknownCodec(id))
    }

    /// Its number in the attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|codec| codec.name() == name).ok_or(())
    }
}

thread_local! {
    /// A zstd context takes a megabyte to set up; kept per thread that compresses.
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

/// Appends `input`, compressed, to `out`. `level` is the codec's own scale (gzip 1-9, zstd 1-22); `None` or -1 its default.
pub fn compress(codec: Compression, level: Option<i32>, input: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
    let level = level.filter(|level| *level != -1);
    let done = match codec {
        Compression::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Compression::Gzip => {
            let level = level
                .map_or(flate2::Compression::default(), |level| flate2::Compression::new(level.clamp(0, 9) as u32));
            let mut encoder = flate2::write::GzEncoder::new(&mut *out, level);
            encoder.write_all(input).and_then(|()| encoder.finish().map(|_| ()))
        }
        Compression::Snappy => snappy_compress(input, out),
        Compression::Lz4 => lz4_compress(input, out),
        Compression::Zstd => zstd_compress(level.unwrap_or(3), input, out),
    };
    // Encoders into memory fail only on a defect; the text says which.
    done.map_err(|error| RecordError::Decompress { codec, reason: error.to_string() })
}

fn snappy_compress(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK)];
    for chunk in input.chunks(XERIAL_BLOCK) {
        let len = encoder.compress(chunk, &mut block)?;
        out.extend_from_slice(&(len as i32).to_be_bytes());
        out.extend_from_slice(block.get(..len).unwrap_or_default());
    }
    Ok(())
}

fn lz4_compress(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    // Java's decoder reads independent blocks only.
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Independent)
        .block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, &mut *out);
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

fn zstd_compress(level: i32, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    ZSTD.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(have, _)| *have != level) {
            *kept = Some((level, zstd::bulk::Compressor::new(level)?));
        }
        let Some((_, compressor)) = kept else { return Err(io::ErrorKind::Other.into()) };
        out.extend_from_slice(&compressor.compress(input)?);
        Ok(())
    })
}

/// Decompresses `input` to at most `limit` bytes.
pub fn decompress(codec: Compression, input: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    let fail = |error: io::Error| RecordError::Decompress { codec, reason: error.to_string() };
    match codec {
        Compression::None if input.len() > limit => Err(RecordError::DecompressedTooLarge { limit }),
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => bounded(codec, flate2::read::MultiGzDecoder::new(input), input.len(), limit),
        Compression::Lz4 => bounded(codec, lz4_flex::frame::FrameDecoder::new(input), input.len(), limit),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(fail)?;
            bounded(codec, decoder, input.len(), limit)
        }
        Compression::Snappy => snappy_decompress(input, limit),
    }
}

fn bounded(codec: Compression, decoder: impl Read, input: usize, limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::with_capacity(input.saturating_mul(3).min(limit));
    match decoder.take(limit as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > limit => Err(RecordError::DecompressedTooLarge { limit }),
        Ok(_) => Ok(out),
        Err(error) => Err(RecordError::Decompress { codec, reason: error.to_string() }),
    }
}

fn snappy_decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    let fail = |reason: &str| RecordError::Decompress { codec: Compression::Snappy, reason: reason.to_owned() };
    let mut out = Vec::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        snappy_block(input, limit, &mut out)?;
        return Ok(out);
    }
    let mut rest = input.get(XERIAL_HEADER_LEN..).ok_or_else(|| fail("header is cut off"))?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| fail("block length is cut off"))?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| fail("negative block length"))?;
        let (block, after) = after.split_at_checked(length).ok_or_else(|| fail("block is cut off"))?;
        snappy_block(block, limit, &mut out)?;
        rest = after;
    }
    Ok(out)
}

pub(super) fn snappy_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let fail = |error: snap::Error| RecordError::Decompress { codec: Compression::Snappy, reason: error.to_string() };
    let length = snap::raw::decompress_len(block).map_err(fail)?;
    // Snappy expands at most some 21-fold (a two-byte copy yields 64 bytes), so a larger claim is a lie not worth the memory.
    if out.len().saturating_add(length) > limit {
        return Err(RecordError::DecompressedTooLarge { limit });
    }
    if length > block.len().saturating_mul(64) {
        return Err(RecordError::Decompress { codec: Compression::Snappy, reason: "impossible length".to_owned() });
    }
    let start = out.len();
    out.resize(start + length, 0);
    let place = out.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, place).map_err(fail)?;
    out.truncate(start + written);
    Ok(())
}
