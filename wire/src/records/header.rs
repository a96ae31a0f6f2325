//! The batch header: parsing, patching, checksum.

use super::{Compression, RecordError};

/// Offset of the base offset, int64, set by the broker.
pub const BASE_OFFSET_OFFSET: usize = 0;
/// Offset of the batch length, int32: bytes after this field.
pub const LENGTH_OFFSET: usize = 8;
/// Offset of the partition leader epoch, int32, set by the broker, outside the checksum.
pub const LEADER_EPOCH_OFFSET: usize = 12;
/// Offset of the format version, int8, always 2.
pub const MAGIC_OFFSET: usize = 16;
/// Offset of the CRC-32C of everything from the attributes on, uint32.
pub const CRC_OFFSET: usize = 17;
/// Offset of the attributes, int16.
pub const ATTRIBUTES_OFFSET: usize = 21;
/// Offset of the last record's offset delta, int32.
pub const LAST_OFFSET_DELTA_OFFSET: usize = 23;
/// Offset of the base timestamp, int64.
pub const BASE_TIMESTAMP_OFFSET: usize = 27;
/// Offset of the largest timestamp, int64.
pub const MAX_TIMESTAMP_OFFSET: usize = 35;
/// Offset of the producer id, int64.
pub const PRODUCER_ID_OFFSET: usize = 43;
/// Offset of the producer epoch, int16.
pub const PRODUCER_EPOCH_OFFSET: usize = 51;
/// Offset of the first record's sequence number, int32.
pub const BASE_SEQUENCE_OFFSET: usize = 53;
/// Offset of the number of records, int32.
pub const RECORDS_COUNT_OFFSET: usize = 57;
/// Bytes of the whole header; the records follow.
pub const HEADER_LEN: usize = 61;
/// Bytes in front of what the batch length counts.
pub const LOG_OVERHEAD: usize = 12;

/// Producer id of a batch that is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch that is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;
/// Timestamp that is not known.
pub const NO_TIMESTAMP: i64 = -1;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// Who set the records' timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker, at append.
    LogAppendTime,
}

/// The fields of a batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (of the batch as it was appended: compaction may have removed that record).
    pub base_offset: i64,
    /// Bytes after the length field.
    pub batch_length: i32,
    /// Leader epoch at append.
    pub leader_epoch: i32,
    /// Stored CRC-32C.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: i16,
    /// Offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record; with the delete horizon flag, the horizon.
    pub base_timestamp: i64,
    /// Largest timestamp.
    pub max_timestamp: i64,
    /// Producer id or -1.
    pub producer_id: i64,
    /// Producer epoch or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub records_count: i32,
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

impl BatchHeader {
    /// Parses the header at the front of `bytes`, which need not hold the whole batch. Checks magic and that the length is possible.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let header = bytes
            .first_chunk::<HEADER_LEN>()
            .ok_or(RecordError::Truncated { needed: HEADER_LEN, available: bytes.len() })?;
        let parsed = Self::fields(header).ok_or(RecordError::BadLength(0))?;
        let [magic] = take::<1>(header, MAGIC_OFFSET).unwrap_or_default();
        if magic != 2 {
            return Err(RecordError::UnsupportedMagic(magic as i8));
        }
        if parsed.batch_length < (HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err(RecordError::BadLength(parsed.batch_length));
        }
        Ok(parsed)
    }

    fn fields(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        Some(Self {
            base_offset: i64::from_be_bytes(take(bytes, BASE_OFFSET_OFFSET)?),
            batch_length: i32::from_be_bytes(take(bytes, LENGTH_OFFSET)?),
            leader_epoch: i32::from_be_bytes(take(bytes, LEADER_EPOCH_OFFSET)?),
            crc: u32::from_be_bytes(take(bytes, CRC_OFFSET)?),
            attributes: i16::from_be_bytes(take(bytes, ATTRIBUTES_OFFSET)?),
            last_offset_delta: i32::from_be_bytes(take(bytes, LAST_OFFSET_DELTA_OFFSET)?),
            base_timestamp: i64::from_be_bytes(take(bytes, BASE_TIMESTAMP_OFFSET)?),
            max_timestamp: i64::from_be_bytes(take(bytes, MAX_TIMESTAMP_OFFSET)?),
            producer_id: i64::from_be_bytes(take(bytes, PRODUCER_ID_OFFSET)?),
            producer_epoch: i16::from_be_bytes(take(bytes, PRODUCER_EPOCH_OFFSET)?),
            base_sequence: i32::from_be_bytes(take(bytes, BASE_SEQUENCE_OFFSET)?),
            records_count: i32::from_be_bytes(take(bytes, RECORDS_COUNT_OFFSET)?),
        })
    }

    /// The 61 bytes of this header.
    #[expect(clippy::wrong_self_convention, reason = "the header is Copy, and 76 bytes are better passed by reference")]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, BASE_OFFSET_OFFSET, self.base_offset.to_be_bytes());
        put(&mut out, LENGTH_OFFSET, self.batch_length.to_be_bytes());
        put(&mut out, LEADER_EPOCH_OFFSET, self.leader_epoch.to_be_bytes());
        put(&mut out, MAGIC_OFFSET, [2]);
        put(&mut out, CRC_OFFSET, self.crc.to_be_bytes());
        put(&mut out, ATTRIBUTES_OFFSET, self.attributes.to_be_bytes());
        put(&mut out, LAST_OFFSET_DELTA_OFFSET, self.last_offset_delta.to_be_bytes());
        put(&mut out, BASE_TIMESTAMP_OFFSET, self.base_timestamp.to_be_bytes());
        put(&mut out, MAX_TIMESTAMP_OFFSET, self.max_timestamp.to_be_bytes());
        put(&mut out, PRODUCER_ID_OFFSET, self.producer_id.to_be_bytes());
        put(&mut out, PRODUCER_EPOCH_OFFSET, self.producer_epoch.to_be_bytes());
        put(&mut out, BASE_SEQUENCE_OFFSET, self.base_sequence.to_be_bytes());
        put(&mut out, RECORDS_COUNT_OFFSET, self.records_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, header included.
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Codec of the records block.
    pub fn compression(&self) -> Result<Compression, RecordError> {
        Compression::from_id((self.attributes & CODEC_MASK) as u8)
    }

    /// Who set the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Holds a control record, which consumers never see.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The time from which tombstones of this batch may go, set by the cleaner.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Written by an idempotent producer.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id != NO_PRODUCER_ID
    }

    /// Sequence number of the last record; sequence numbers wrap to 0 after 2^31-1.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & 0x7fff_ffff) as i32
    }

    /// This header for records whose time the broker set to `now_ms`; the checksum is not updated.
    pub fn with_log_append_time(mut self, now_ms: i64) -> Self {
        self.attributes |= LOG_APPEND_TIME;
        self.max_timestamp = now_ms;
        self
    }

    /// This header with the checksum over `records`, the bytes after the header.
    pub fn with_crc_over(mut self, records: &[u8]) -> Self {
        let header = self.to_bytes();
        let covered = header.get(ATTRIBUTES_OFFSET..).unwrap_or_default();
        self.crc = crc32c::crc32c_append(crc32c::crc32c(covered), records);
        self
    }

    /// Checks the checksum of the batch whose bytes are exactly `batch`.
    pub fn verify_crc(&self, batch: &[u8]) -> Result<(), RecordError> {
        if batch.len() != self.size() {
            return Err(RecordError::Truncated { needed: self.size(), available: batch.len() });
        }
        let computed = crc_of(batch);
        if computed == self.crc { Ok(()) } else { Err(RecordError::CrcMismatch { stored: self.crc, computed }) }
    }
}

pub(super) fn attributes(codec: Compression, transactional: bool, control: bool, delete_horizon: bool) -> i16 {
    i16::from(codec.id())
        | if transactional { TRANSACTIONAL } else { 0 }
        | if control { CONTROL } else { 0 }
        | if delete_horizon { DELETE_HORIZON } else { 0 }
}

/// The CRC-32C a batch with these bytes should carry.
pub fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(ATTRIBUTES_OFFSET..).unwrap_or_default())
}

pub(super) fn put<const N: usize>(out: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = out.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

/// Sets the base offset of the batch at the front of `batch`; outside the checksum.
pub fn patch_base_offset(batch: &mut [u8], base_offset: i64) {
    put(batch, BASE_OFFSET_OFFSET, base_offset.to_be_bytes());
}

/// Sets the leader epoch of the batch at the front of `batch`; outside the checksum.
pub fn patch_leader_epoch(batch: &mut [u8], leader_epoch: i32) {
    put(batch, LEADER_EPOCH_OFFSET, leader_epoch.to_be_bytes());
}

/// Makes the one batch in `batch` carry the broker's time, and its checksum right again.
pub fn rewrite_log_append_time(batch: &mut [u8], now_ms: i64) -> Result<(), RecordError> {
    let header = BatchHeader::parse(batch)?.with_log_append_time(now_ms);
    put(batch, ATTRIBUTES_OFFSET, header.attributes.to_be_bytes());
    put(batch, MAX_TIMESTAMP_OFFSET, header.max_timestamp.to_be_bytes());
    let crc = crc_of(batch);
    put(batch, CRC_OFFSET, crc.to_be_bytes());
    Ok(())
}

/// CRC-32C of `bytes`, the checksum Kafka uses in batches and snapshot files.
pub fn crc32c_of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}
