//! Where the check of produced batches runs: what is short on the caller's thread, what is not on the compute threads, with memory from
//! the share that unpacking has.
//!
//! Compressed batches unpack to up to a thousand times their size, and how far shows only on the way. So a check begins on the caller's
//! thread and, when it has unpacked as much as a task of the runtime should, is made again elsewhere.

use bytes::Bytes;
use levada_env::IoClass;
use levada_wire::records::{BatchIter, RecordError};

use super::byte_budget::BudgetClosed;
use super::validate::{ValidatedBatches, ValidationError, ValidationRules, validate_batches};
use super::{LogError, PartitionLog};

/// Bytes of batches checked on the caller's thread: a checksum and a walk over so much take about a millisecond.
const SHORT_BYTES: usize = 2 << 20;
/// Bytes unpacked on the caller's thread.
const SHORT_UNPACKED: usize = 256 << 10;

impl PartitionLog {
    /// [`validate_batches`] without holding up the runtime. The outer error is about the log, the inner one about the batches.
    pub async fn validate(
        &self,
        bytes: Bytes,
        rules: &ValidationRules<'_>,
    ) -> Result<Result<ValidatedBatches, ValidationError>, LogError> {
        if bytes.len() <= SHORT_BYTES {
            let short = ValidationRules { decompressed_limit: rules.decompressed_limit.min(SHORT_UNPACKED), ..*rules };
            match validate_batches(bytes.clone(), &short) {
                Err(ValidationError::Corrupt(RecordError::DecompressedTooLarge { .. }))
                    if rules.decompressed_limit > SHORT_UNPACKED => {}
                checked => return Ok(checked),
            }
        }
        let limit = rules.decompressed_limit;
        let memory = BatchIter::new(bytes.clone()).flatten().map(|batch| batch.walk_memory(limit)).max().unwrap_or(0);
        let permit = self.inner.unpacking.take(memory).await.map_err(|BudgetClosed| LogError::Closed)?;
        let (config, now_ms, origin) = (rules.config.clone(), rules.now_ms, rules.origin);
        let (zstd_allowed, full) = (rules.zstd_allowed, rules.full);
        self.run(IoClass::Compute, move |_| {
            let _permit = permit;
            let rules =
                ValidationRules { config: &config, now_ms, origin, zstd_allowed, full, decompressed_limit: limit };
            validate_batches(bytes, &rules)
        })
        .await
    }
}
