//! The check of produced batches before they are queued for the append thread. One row of the protocol sheet's produce table per variant of
//! [`ValidationError`]. Records are walked as they come out of the decoder, never held unpacked (`validate_run` says on which thread).

use bytes::Bytes;
use levada_wire::records::{Batch, BatchHeader, Compression, NO_PRODUCER_ID, NO_TIMESTAMP, RecordError, walk_batch};

use super::LogConfig;
use crate::config::TimestampType;

/// Batches that passed; only these can be appended.
#[derive(Debug, Clone)]
pub struct ValidatedBatches {
    pub(super) bytes: Bytes,
    pub(super) headers: Vec<BatchHeader>,
    pub(super) log_append_time_ms: Option<i64>,
    /// Bytes of the buffer that `bytes` keeps in memory.
    pub(super) frame_bytes: usize,
}

impl ValidatedBatches {
    /// Says how large the buffer is that the batches are slices of, so that the tail cache does not keep a large one for a small batch.
    #[must_use]
    pub fn received_in(mut self, frame_bytes: usize) -> Self {
        self.frame_bytes = self.frame_bytes.max(frame_bytes);
        self
    }

    /// Headers in order, as they will be written but for offset and leader epoch.
    pub fn headers(&self) -> &[BatchHeader] {
        &self.headers
    }

    /// Bytes of all batches.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.headers.iter().map(|header| u64::from(header.records_count.max(0) as u32)).sum()
    }
}

/// Where batches come from: what may be in them and how far they are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: exactly one batch, no control records, all checks.
    Client,
    /// The broker's own coordinators: several batches and control records allowed, all checks.
    Coordinator,
    /// The leader's log, fetched by a follower: offsets and epochs are kept, only the checksum is checked.
    Replica,
}

/// What to hold batches against.
#[derive(Debug, Clone, Copy)]
pub struct ValidationRules<'a> {
    /// The topic's settings.
    pub config: &'a LogConfig,
    /// Wall time.
    pub now_ms: i64,
    /// Where they come from.
    pub origin: AppendOrigin,
    /// Whether the request's version knows zstd (Produce v7).
    pub zstd_allowed: bool,
    /// `record.validation=full`: walk compressed batches too.
    pub full: bool,
    /// Most bytes a batch may unpack to where it is walked.
    pub decompressed_limit: usize,
}

impl<'a> ValidationRules<'a> {
    /// Usual rules for batches from `origin`.
    pub fn new(config: &'a LogConfig, now_ms: i64, origin: AppendOrigin) -> Self {
        Self { config, now_ms, origin, zstd_allowed: true, full: false, decompressed_limit: 128 << 20 }
    }
}

/// Why batches were refused. `api::error_map` gives the Kafka codes named here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// CORRUPT_MESSAGE (2).
    #[error("corrupt batch: {0}")]
    Corrupt(RecordError),
    /// MESSAGE_TOO_LARGE (10).
    #[error("the batch has {size} bytes, max.message.bytes is {limit}")]
    MessageTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The limit in force.
        limit: usize,
    },
    /// RECORD_LIST_TOO_LARGE (18).
    #[error("the batches have {size} bytes, segment.bytes is {limit}")]
    RecordListTooLarge {
        /// Bytes of all batches.
        size: usize,
        /// The limit in force.
        limit: u64,
    },
    /// INVALID_RECORD (87), naming the record where there is one.
    #[error("{message}")]
    InvalidRecord {
        /// Position of the record in its batch.
        batch_index: Option<i32>,
        /// What is wrong.
        message: String,
    },
    /// INVALID_TIMESTAMP (32).
    #[error("timestamp {timestamp} is out of the range around the broker's time {now_ms} that the topic accepts")]
    InvalidTimestamp {
        /// The record's time.
        timestamp: i64,
        /// The broker's time.
        now_ms: i64,
    },
    /// UNSUPPORTED_COMPRESSION_TYPE (76).
    #[error("zstd needs produce version 7")]
    UnsupportedCompression,
}

impl From<RecordError> for ValidationError {
    fn from(error: RecordError) -> Self {
        if error.is_corruption() {
            return Self::Corrupt(error);
        }
        let batch_index = if let RecordError::InvalidRecord { index, .. } = error { Some(index) } else { None };
        Self::InvalidRecord { batch_index, message: error.to_string() }
    }
}

fn invalid(message: &str) -> ValidationError {
    ValidationError::InvalidRecord { batch_index: None, message: message.to_owned() }
}

/// Checks `bytes`, which must hold whole batches of format 2 and nothing else.
pub fn validate_batches(bytes: Bytes, rules: &ValidationRules<'_>) -> Result<ValidatedBatches, ValidationError> {
    let (mut rest, mut headers) = (bytes.clone(), Vec::with_capacity(1));
    let log_append_time_ms = (rules.config.timestamp_type == TimestampType::LogAppendTime
        && rules.origin != AppendOrigin::Replica)
        .then_some(rules.now_ms);
    while !rest.is_empty() {
        if rules.origin == AppendOrigin::Client && !headers.is_empty() {
            return Err(invalid("a produce request holds exactly one batch per partition"));
        }
        // What is too large is said before what is cut off: the length field alone decides.
        let header = BatchHeader::parse(&rest).map_err(short_is_corrupt)?;
        check_size(&header, rules)?;
        let batch = Batch::split_from(&mut rest)?;
        headers.push(check_batch(batch, rules, log_append_time_ms)?);
    }
    if headers.is_empty() {
        return Err(invalid("a produce request holds exactly one batch per partition"));
    }
    if bytes.len() as u64 > rules.config.segment_bytes && rules.origin != AppendOrigin::Replica {
        return Err(ValidationError::RecordListTooLarge { size: bytes.len(), limit: rules.config.segment_bytes });
    }
    Ok(ValidatedBatches { frame_bytes: bytes.len(), bytes, headers, log_append_time_ms })
}

fn short_is_corrupt(error: RecordError) -> ValidationError {
    match error {
        RecordError::UnsupportedMagic(_) => invalid(&error.to_string()),
        error => ValidationError::Corrupt(error),
    }
}

fn check_size(header: &BatchHeader, rules: &ValidationRules<'_>) -> Result<(), ValidationError> {
    let limit = rules.config.max_message_bytes;
    if header.size() > limit && rules.origin != AppendOrigin::Replica {
        return Err(ValidationError::MessageTooLarge { size: header.size(), limit });
    }
    Ok(())
}

fn check_batch(
    batch: Batch,
    rules: &ValidationRules<'_>,
    append_time: Option<i64>,
) -> Result<BatchHeader, ValidationError> {
    batch.verify_crc()?;
    let header = batch.header;
    if rules.origin == AppendOrigin::Replica {
        return Ok(header);
    }
    check_header(&header, rules)?;
    let codec = header.compression()?;
    let walk = codec == Compression::None || rules.full || rules.config.compact || append_time.is_some();
    let mut fixed = header;
    if walk {
        let summary = walk_batch(&batch, rules.decompressed_limit)?;
        if let (true, Some(index)) = (rules.config.compact && !header.is_control(), summary.first_null_key) {
            let message = format!("record {index} has no key, which a compacted topic needs");
            return Err(ValidationError::InvalidRecord { batch_index: Some(index), message });
        }
        if append_time.is_none() {
            check_timestamp(summary.min_timestamp, rules)?;
            fixed.max_timestamp = summary.max_timestamp;
        }
    }
    if let Some(now_ms) = append_time {
        fixed = fixed.with_log_append_time(now_ms);
    } else {
        check_timestamp(fixed.max_timestamp, rules)?;
    }
    // Time look-ups rely on the batch's largest timestamp, so a wrong one is put right, as the checksum then is.
    Ok(if fixed == header { header } else { fixed.with_crc_over(&batch.records) })
}

fn check_header(header: &BatchHeader, rules: &ValidationRules<'_>) -> Result<(), ValidationError> {
    if header.records_count <= 0 {
        return Err(invalid("a batch needs at least one record"));
    }
    if header.last_offset_delta.checked_add(1) != Some(header.records_count) {
        return Err(invalid("the last offset delta does not fit the number of records"));
    }
    if header.is_control() && rules.origin == AppendOrigin::Client {
        return Err(invalid("producers may not write control records"));
    }
    if header.delete_horizon_ms().is_some() {
        return Err(invalid("producers may not set a delete horizon"));
    }
    if header.producer_id != NO_PRODUCER_ID && !header.is_control() && header.base_sequence < 0 {
        return Err(invalid("a batch with a producer id needs a sequence number"));
    }
    if header.producer_id != NO_PRODUCER_ID && header.producer_epoch < 0 {
        return Err(invalid("a batch with a producer id needs a producer epoch"));
    }
    if header.compression()? == Compression::Zstd && !rules.zstd_allowed {
        return Err(ValidationError::UnsupportedCompression);
    }
    Ok(())
}

fn check_timestamp(timestamp: i64, rules: &ValidationRules<'_>) -> Result<(), ValidationError> {
    let (now_ms, config) = (rules.now_ms, rules.config);
    if timestamp == NO_TIMESTAMP {
        return Ok(());
    }
    let too_old = now_ms.saturating_sub(timestamp) > config.timestamp_before_max_ms;
    let too_new = timestamp.saturating_sub(now_ms) > config.timestamp_after_max_ms;
    if too_old || too_new { Err(ValidationError::InvalidTimestamp { timestamp, now_ms }) } else { Ok(()) }
}
