//! Writing a group of staged batches with one vectored write, publishing it, and answering.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use levada_wire::records::{BatchHeader, HEADER_LEN};

use super::LogError;
use super::append_queue::{AppendInfo, AppendPermit, Reply};
use super::partition_log::{Inner, Writer};
use super::producer_state::Undo;
use super::segment::Segment;
use super::tail_cache::{COPY_BELOW, CachedBatch};

/// Batches staged for one write.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) headers: Vec<u8>,
    pub(super) batches: Vec<Staged>,
    pub(super) size: u64,
    pub(super) undo: Vec<Undo>,
    pub(super) replies: Vec<(Reply, AppendInfo)>,
    /// Room in the queue, given back with the chunk.
    pub(super) permits: Vec<AppendPermit>,
}

/// A batch of a chunk.
pub(super) struct Staged {
    pub(super) header: BatchHeader,
    pub(super) records: Bytes,
    pub(super) frame_bytes: usize,
}

impl Staged {
    /// Copied for the tail cache: little, or so small a part of what it came in that keeping it by reference would hold more than twice
    /// the memory that the cache accounts for.
    fn is_copied(&self) -> bool {
        let size = self.header.size();
        size < COPY_BELOW || size < self.frame_bytes / 2
    }
}

impl Inner {
    /// Writes what is staged, publishes it, and answers.
    pub(super) fn write_chunk(self: &Arc<Self>, writer: &mut Writer, chunk: &mut Chunk) {
        let mut chunk = std::mem::take(chunk);
        if chunk.batches.is_empty() {
            // Only duplicates: they are in the log already.
            answer(chunk.replies, None);
            return;
        }
        let segment = self.active();
        let position = segment.size();
        let (first, end) = match (chunk.batches.first(), chunk.batches.last()) {
            (Some(first), Some(last)) => (first.header.base_offset, last.header.next_offset()),
            _ => return,
        };
        assert!(first >= self.log_end(), "invariant 4: offset {first} is used already");
        match writer.cut_torn(&segment, position).and_then(|()| write_batches(&segment, position, &chunk)) {
            Ok(()) => {
                let headers = Bytes::from(std::mem::take(&mut chunk.headers));
                self.publish(writer, &segment, position, &chunk, headers, end);
                answer(chunk.replies, None);
            }
            Err(error) => {
                for undo in chunk.undo.into_iter().rev() {
                    writer.producers.restore(undo);
                }
                writer.torn = true;
                let failed = self.write_failed("write", &error);
                let cut = writer.cut_torn(&segment, position);
                let error =
                    cut.err().map_or(failed, |error| self.write_failed("cutting back after a failed write", &error));
                answer(chunk.replies, Some(&error));
            }
        }
    }

    fn publish(
        self: &Arc<Self>,
        writer: &mut Writer,
        segment: &Segment,
        position: u64,
        chunk: &Chunk,
        headers: Bytes,
        end: i64,
    ) {
        let interval = self.config.load().index_interval_bytes;
        let mut at = position;
        for staged in &chunk.batches {
            segment.note_timestamps(&staged.header);
            if writer.since_index_entry > interval {
                // Memory has the entry in any case; writing it out can wait for the roll or the next start.
                if let Err(error) = segment.index_batch(&staged.header, at) {
                    tracing::warn!(partition = %self.topic_partition, %error, "cannot write an index file");
                }
                writer.since_index_entry = 0;
            }
            writer.since_index_entry += staged.header.size() as u64;
            at += staged.header.size() as u64;
        }
        {
            let mut epochs = self.epochs.lock();
            for staged in &chunk.batches {
                epochs.assign(staged.header.leader_epoch, staged.header.base_offset);
            }
        }
        segment.publish_size(at);
        // Before the log end: a reader that sees the end must not find the cache ending in front of it.
        self.tail_cache.insert(&self.tail, cached(&chunk.batches, &headers));
        self.log_end_offset.store(end, Ordering::Release);
        self.first_unstable.store(writer.producers.first_unstable_offset().unwrap_or(-1), Ordering::Release);
        self.appended_bytes.fetch_add(chunk.size, Ordering::Relaxed);
        self.observe(|observer| observer.on_append(end));
        self.after_append(end, chunk.batches.len(), chunk.size);
    }
}

fn write_batches(segment: &Segment, position: u64, chunk: &Chunk) -> std::io::Result<()> {
    let mut slices = Vec::with_capacity(chunk.batches.len() * 2);
    for (header, staged) in chunk.headers.chunks(HEADER_LEN).zip(&chunk.batches) {
        slices.push(IoSlice::new(header));
        slices.push(IoSlice::new(&staged.records));
    }
    segment.file()?.write_all_vectored_at(&mut slices, position)
}

/// The batches as the tail cache keeps them: those that are most of what they came in by reference, others copied together.
fn cached(batches: &[Staged], headers: &Bytes) -> Vec<CachedBatch> {
    let small = |staged: &&Staged| staged.is_copied();
    let mut copied = Vec::with_capacity(batches.iter().filter(small).map(|staged| staged.header.size()).sum());
    for (i, staged) in batches.iter().enumerate().filter(|(_, staged)| small(staged)) {
        copied.extend_from_slice(headers.get(i * HEADER_LEN..(i + 1) * HEADER_LEN).unwrap_or_default());
        copied.extend_from_slice(&staged.records);
    }
    let mut copied = Bytes::from(copied);
    let keep = |(i, staged): (usize, &Staged)| {
        let (header, records) = if small(&staged) {
            // One piece: readers parse it without looking for the rest elsewhere.
            (copied.split_to(staged.header.size()), Bytes::new())
        } else {
            (headers.slice(i * HEADER_LEN..(i + 1) * HEADER_LEN), staged.records.clone())
        };
        CachedBatch {
            base_offset: staged.header.base_offset,
            next_offset: staged.header.next_offset(),
            header,
            records,
        }
    };
    batches.iter().enumerate().map(keep).collect()
}

fn answer(replies: Vec<(Reply, AppendInfo)>, error: Option<&LogError>) {
    for (reply, info) in replies {
        // A duplicate in a group whose write failed may repeat a batch of that very group.
        let _ = reply.send(error.map_or(Ok(info), |error| Err(error.clone())));
    }
}
