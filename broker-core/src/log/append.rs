//! The append path up to the write: each request of a group is held against the log and staged, a new segment begun where it must.
//!
//! Records are never copied: patched headers go out as slices of their own. Producer state changes are taken back if the write fails, and
//! the file is cut back to its last whole batch (`append_write`).

use std::sync::Arc;

use levada_wire::records::{BatchHeader, HEADER_LEN};

use super::append_queue::{AppendInfo, AppendRequest, Queued, Reply};
use super::append_write::{Chunk, Staged};
use super::partition_log::{Inner, Writer};
use super::producer_snapshot;
use super::producer_state::{BatchMetadata, SequenceCheck};
use super::segment::{SNAPSHOT_SUFFIX, Segment, file_name};
use super::validate::AppendOrigin;
use super::{LogError, OpenOptions};

impl Inner {
    /// Checks one request against the log and adds it to the chunk, writing the chunk first if a new segment has to begin.
    pub(super) fn stage(
        self: &Arc<Self>,
        writer: &mut Writer,
        chunk: &mut Chunk,
        queued: Queued,
    ) -> Result<(), (Reply, LogError)> {
        let Queued { request, reply, permit } = queued;
        match self.try_stage(writer, chunk, &request) {
            Ok(info) => {
                chunk.replies.push((reply, info));
                chunk.permits.push(permit);
                Ok(())
            }
            Err(error) => Err((reply, error)),
        }
    }

    fn try_stage(
        self: &Arc<Self>,
        writer: &mut Writer,
        chunk: &mut Chunk,
        request: &AppendRequest,
    ) -> Result<AppendInfo, LogError> {
        self.check_usable()?;
        self.check_epoch(request)?;
        if let Some(duplicate) = Self::check_producers(writer, request)? {
            return Ok(self.duplicate_info(&duplicate));
        }
        let size = request.batches.size();
        let config = self.config.load();
        self.log_dir.admit(size, config.internal)?;
        let next = chunk.batches.last().map_or_else(|| self.log_end(), |staged| staged.header.next_offset());
        let headers = assign_offsets(request, next)?;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Err(LogError::NotContiguous { expected: next, got: -1 });
        };
        let (base_offset, last_offset) = (first.base_offset, last.last_offset());
        if self.must_roll(writer, chunk, size as u64, &headers, last_offset) {
            self.write_chunk(writer, chunk);
            // If that write failed, offsets would be out of step with what was assigned above.
            if self.log_end() != next {
                return Err(self.log_dir.check_online().err().unwrap_or_else(|| self.log_dir.storage_full()));
            }
            // The new segment begins at the log end even where a follower's batch leaves a gap: recovery relies on it.
            self.roll(writer, next)?;
        }
        let now = Some(self.env.clock.now());
        let mut rest = request.batches.bytes.clone();
        for header in headers {
            let mut records = rest.split_to(header.size().min(rest.len()));
            chunk.undo.extend(writer.producers.update(&header, now));
            chunk.headers.extend_from_slice(&header.to_bytes());
            chunk.size += header.size() as u64;
            chunk.batches.push(Staged {
                header,
                records: records.split_off(HEADER_LEN),
                frame_bytes: request.batches.frame_bytes,
            });
        }
        Ok(AppendInfo {
            base_offset,
            last_offset,
            log_append_time_ms: request.batches.log_append_time_ms.unwrap_or(-1),
            log_start_offset: self.log_start(),
            duplicate: false,
        })
    }

    fn check_epoch(&self, request: &AppendRequest) -> Result<(), LogError> {
        if request.origin == AppendOrigin::Replica {
            return Ok(());
        }
        let current = self.epochs.lock().latest().map_or(-1, |entry| entry.epoch);
        if request.leader_epoch < current {
            return Err(LogError::FencedLeaderEpoch { current, got: request.leader_epoch });
        }
        Ok(())
    }

    /// The batch this request repeats, if it does. Followers take what the leader has decided.
    fn check_producers(writer: &Writer, request: &AppendRequest) -> Result<Option<BatchMetadata>, LogError> {
        if request.origin == AppendOrigin::Replica {
            return Ok(None);
        }
        match request.batches.headers.as_slice() {
            [header] => match writer.producers.check(header)? {
                SequenceCheck::Append => Ok(None),
                SequenceCheck::Duplicate(batch) => Ok(Some(batch)),
            },
            headers => {
                // Several batches come from coordinators, which are not idempotent producers.
                for header in headers {
                    if let SequenceCheck::Duplicate(batch) = writer.producers.check(header)? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None)
            }
        }
    }

    fn duplicate_info(&self, batch: &BatchMetadata) -> AppendInfo {
        AppendInfo {
            base_offset: batch.first_offset(),
            last_offset: batch.last_offset,
            log_append_time_ms: -1,
            log_start_offset: self.log_start(),
            duplicate: true,
        }
    }

    fn must_roll(&self, writer: &Writer, chunk: &Chunk, size: u64, headers: &[BatchHeader], last_offset: i64) -> bool {
        let (segment, config) = (self.active(), self.config.load());
        let current = segment.size() + chunk.size;
        if !segment.can_hold_offset(last_offset) {
            return true;
        }
        if current == 0 {
            return false;
        }
        let limit = config.segment_bytes.min(i32::MAX as u64);
        if current + size > limit || segment.index_size() + 16 > config.segment_index_bytes {
            return true;
        }
        let newest = headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1);
        let age = match segment.first_timestamp() {
            Some(first) => newest.saturating_sub(first),
            None => self.env.clock.wall_ms().saturating_sub(segment.created_ms),
        };
        age > config.segment_ms.saturating_sub(writer.jitter_ms)
    }

    /// Begins a new segment at `base_offset`, which is the log end.
    pub(super) fn roll(self: &Arc<Self>, writer: &mut Writer, base_offset: i64) -> Result<(), LogError> {
        let before = self.active();
        if before.size() == 0 && before.base_offset == base_offset {
            return Ok(());
        }
        let whole = writer.cut_torn(&before, before.size());
        let made = whole.and_then(|()| before.finish_indexes(base_offset)).and_then(|()| {
            self.write_snapshot(writer, base_offset)?;
            Segment::create(&self.env.disk, &self.dir, base_offset, self.env.clock.wall_ms())
        });
        let segment = made.map_err(|error| self.write_failed("starting a segment", &error))?;
        let mut segments = self.segments().to_vec();
        segments.push(Arc::new(segment));
        self.set_segments(segments);
        self.sync.segment_rolled(Some(before));
        writer.since_index_entry = 0;
        writer.jitter_ms = self.env.rng.below(self.config.load().segment_jitter_ms.max(0) as u64) as i64;
        // Whatever the policy, a closed segment is flushed, so that recovery never has to read it.
        self.request_sync(base_offset);
        Ok(())
    }

    /// Writes the producer state as it is at `offset`. Not synced: it has a checksum, and a start does without a damaged one.
    pub(super) fn write_snapshot(&self, writer: &Writer, offset: i64) -> std::io::Result<()> {
        let bytes = producer_snapshot::encode(&writer.producers);
        let path = self.dir.join(file_name(offset, SNAPSHOT_SUFFIX));
        self.env.disk.open(&path, OpenOptions::REPLACE)?.write_all_at(&bytes, 0)
    }
}

/// Gives the batches their offsets; those from the leader keep theirs and must continue the log.
fn assign_offsets(request: &AppendRequest, mut next: i64) -> Result<Vec<BatchHeader>, LogError> {
    let mut headers = request.batches.headers.clone();
    for header in &mut headers {
        if request.origin == AppendOrigin::Replica {
            // A compacted leader leaves gaps; going back is never right.
            if header.base_offset < next || header.last_offset_delta < 0 {
                return Err(LogError::NotContiguous { expected: next, got: header.base_offset });
            }
        } else {
            header.base_offset = next;
            header.leader_epoch = request.leader_epoch;
        }
        next = header.next_offset();
    }
    Ok(headers)
}
