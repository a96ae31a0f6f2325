//! Opening a partition: what is on disk becomes a [`PartitionLog`]. After a clean stop that is a few small reads; else everything past the
//! recovery point is verified, the torn tail cut, and indexes, epochs and producer state are made again from the batches.
//!
//! Damage never loses a record in front of it: a file is cut where its first bad batch begins, and only derived files are thrown away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use arc_swap::ArcSwap;
use levada_env::{Disk, DiskFile, Env, Instant};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::append_queue::Pending;
use super::checkpoint::{self, LEADER_EPOCH_FILE, PARTITION_METADATA_FILE};
use super::leader_epochs::LeaderEpochs;
use super::partition_log::{Inner, PartitionLog, Writer};
use super::producer_snapshot;
use super::producer_state::ProducerStates;
use super::segment::{Found, IndexBuilder, LOG_SUFFIX, SNAPSHOT_SUFFIX, Segment, file_name, parse_file_name};
use super::sync::SyncState;
use super::tail_cache::{PartitionTail, TailCache};
use super::{BufPool, ByteBudget, LogConfig, LogDir, LogError, OpenOptions, TopicPartition, leftovers};

/// What all partitions of a manager share.
#[derive(Debug, Clone)]
pub(super) struct LoadContext {
    pub(super) env: Env,
    pub(super) log_dir: Arc<LogDir>,
    pub(super) tail_cache: Arc<TailCache>,
    pub(super) pool: Arc<BufPool>,
    pub(super) unpacking: ByteBudget,
}

/// What the log directory's checkpoints say of the partition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checkpointed {
    /// The last stop was orderly.
    pub(super) clean: bool,
    /// The recovery point is known for sure: segments that do not join there cannot hold anything acknowledged.
    pub(super) certain: bool,
    pub(super) recovery_point: i64,
    pub(super) log_start_offset: i64,
    pub(super) high_watermark: i64,
    pub(super) cleaned_to: i64,
}

impl Checkpointed {
    /// Something in it lies past the log's end, so it is not about the log as it is.
    pub(super) fn is_past(&self, log_end: i64) -> bool {
        self.recovery_point.max(self.log_start_offset).max(self.cleaned_to) > log_end
    }
}

/// Opens the partition in `dir`, making it if it does not exist.
pub(super) fn load(
    context: &LoadContext,
    topic_partition: TopicPartition,
    dir: PathBuf,
    known: Checkpointed,
    config: LogConfig,
    topic_id: Option<Uuid>,
) -> Result<PartitionLog, LogError> {
    let disk = &context.env.disk;
    let created = !disk.exists(&dir);
    if created {
        disk.create_dir_all(&dir).map_err(LogError::io("create partition directory"))?;
    }
    let topic_id = load_topic_id(&**disk, &dir, topic_id)?;
    let mut loader = Loader { context, dir: Arc::new(dir), known, name: topic_partition.to_string() };
    let loaded = loader.run().map_err(LogError::io("open partition"))?;
    let sync = SyncState::new(loaded.log_end, created || loaded.made_segment);
    let active_size = loaded.segments.last().map_or(0, |segment| segment.size());
    let log_start = known
        .log_start_offset
        .max(loaded.segments.first().map_or(0, |segment| segment.base_offset))
        .min(loaded.log_end);
    let inner = Inner {
        env: context.env.clone(),
        log_dir: Arc::clone(&context.log_dir),
        topic_partition,
        dir: loader.dir,
        topic_id: Mutex::new(topic_id),
        config: ArcSwap::from_pointee(config),
        pending: Mutex::new(Pending::default()),
        first_unstable: AtomicI64::new(loaded.producers.first_unstable_offset().unwrap_or(-1)),
        writer: Mutex::new(Writer {
            producers: loaded.producers,
            since_index_entry: active_size,
            jitter_ms: 0,
            torn: false,
        }),
        epochs: Mutex::new(loaded.epochs),
        segments: RwLock::new(Arc::new(loaded.segments)),
        log_start_offset: AtomicI64::new(log_start),
        log_end_offset: AtomicI64::new(loaded.log_end),
        high_watermark: AtomicI64::new(known.high_watermark.clamp(log_start, loaded.log_end)),
        sync,
        tail: Arc::new(PartitionTail::default()),
        tail_cache: Arc::clone(&context.tail_cache),
        pool: Arc::clone(&context.pool),
        unpacking: context.unpacking.clone(),
        observer: RwLock::new(None),
        closed: AtomicBool::new(false),
        truncations: AtomicU64::new(0),
        cleaned_to: AtomicI64::new(known.cleaned_to.min(loaded.log_end)),
        checkpointed: AtomicI64::new(known.recovery_point.min(loaded.log_end)),
        appended_bytes: AtomicU64::new(0),
    };
    inner.epochs.lock().truncate_from_start(log_start);
    Ok(PartitionLog { inner: Arc::new(inner) })
}

fn load_topic_id(disk: &dyn Disk, dir: &Path, given: Option<Uuid>) -> Result<Option<Uuid>, LogError> {
    let path = dir.join(PARTITION_METADATA_FILE);
    let found = match checkpoint::read_topic_id(disk, &path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(path = %path.display(), %error, "unreadable partition metadata, the topic id is taken from the metadata log");
            None
        }
        Err(error) => return Err(LogError::io("read partition metadata")(error)),
    };
    let Some(topic_id) = given.filter(|given| found.is_none_or(|found| found != *given)) else { return Ok(found) };
    // Synced, with its directory, before the first record is acknowledged.
    let text = checkpoint::encode_topic_id(topic_id);
    let write = disk.open(&path, OpenOptions::REPLACE).and_then(|file| file.write_all_at(text.as_bytes(), 0));
    write.map_err(|error| {
        // Half a file would be told as a damaged one at the next try.
        let _ = disk.remove_file(&path);
        LogError::io("write partition metadata")(error)
    })?;
    Ok(Some(topic_id))
}

struct Loader<'a> {
    context: &'a LoadContext,
    dir: Arc<PathBuf>,
    known: Checkpointed,
    name: String,
}

struct Loaded {
    segments: Vec<Arc<Segment>>,
    log_end: i64,
    epochs: LeaderEpochs,
    producers: ProducerStates,
    made_segment: bool,
}

impl Loader<'_> {
    fn disk(&self) -> &Arc<dyn Disk> {
        &self.context.env.disk
    }

    fn run(&mut self) -> io::Result<Loaded> {
        let logs = self.list()?;
        let now_ms = self.context.env.clock.wall_ms();
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(logs.len().max(1));
        for (base_offset, size) in &logs {
            segments.push(Arc::new(Segment::found(self.disk(), &self.dir, *base_offset, *size, now_ms)));
        }
        let mut epochs = self.load_epochs()?;
        let epochs_lost = epochs.entries().is_empty();
        let made_segment = segments.is_empty();
        if made_segment {
            let base_offset = self.known.log_start_offset;
            segments.push(Arc::new(Segment::create(self.disk(), &self.dir, base_offset, now_ms)?));
        }
        let log_end = match self.clean_end(&segments)? {
            Some(log_end) => log_end,
            None => self.recover(&mut segments, &mut epochs)?,
        };
        if epochs_lost && log_end > 0 {
            epochs = LeaderEpochs::default();
            rebuild_epochs(&segments, &mut epochs)?;
        }
        epochs.truncate_from_end(log_end.max(1));
        let producers = load_producers(&**self.disk(), &self.dir, &segments, log_end, self.context.env.clock.now())?;
        Ok(Loaded { segments, log_end, epochs, producers, made_segment })
    }

    /// Puts the directory in order. Base offset and size of each log file, ascending.
    fn list(&self) -> io::Result<Vec<(i64, u64)>> {
        let mut logs = Vec::new();
        for name in leftovers::clear(&**self.disk(), &self.dir)? {
            if let Some((base_offset, LOG_SUFFIX)) = parse_file_name(&name) {
                logs.push((base_offset, self.disk().metadata(&self.dir.join(&name))?.len));
            }
        }
        logs.sort_unstable();
        Ok(logs)
    }

    /// The log end after an orderly stop, unless anything contradicts that it was one.
    fn clean_end(&self, segments: &[Arc<Segment>]) -> io::Result<Option<i64>> {
        let Some(active) = segments.last().filter(|_| self.known.clean) else { return Ok(None) };
        match active.end_offset() {
            Ok(end) if end == self.known.recovery_point => {
                if let Some(first) = active.scan(0, active.size())?.next() {
                    active.note_first_timestamp(&first?.header);
                }
                Ok(Some(end))
            }
            Ok(end) => {
                let recovery_point = self.known.recovery_point;
                tracing::warn!(partition = %self.name, end, recovery_point, "log end does not fit the checkpoint, verifying the log");
                Ok(None)
            }
            Err(error) if is_damage(&error) => {
                tracing::warn!(partition = %self.name, %error, "active segment is damaged, verifying the log");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn load_epochs(&self) -> io::Result<LeaderEpochs> {
        let path = self.dir.join(LEADER_EPOCH_FILE);
        match checkpoint::read_epochs(&**self.disk(), &path) {
            Ok(entries) => Ok(LeaderEpochs::new(entries)),
            Err(error) if is_damage(&error) => {
                tracing::warn!(path = %path.display(), %error, "unreadable leader epochs, taking them from the batches");
                Ok(LeaderEpochs::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Verifies everything past the recovery point; all of it where the recovery point cannot be this log's, since it lies past the end.
    fn recover(&mut self, segments: &mut Vec<Arc<Segment>>, epochs: &mut LeaderEpochs) -> io::Result<i64> {
        let log_end = self.recover_unsynced(segments, epochs)?;
        let recovery_point = self.known.recovery_point;
        if log_end >= recovery_point {
            return Ok(log_end);
        }
        tracing::error!(partition = %self.name, log_end, recovery_point, "records that were on disk are damaged or gone, verifying the whole log");
        (self.known.recovery_point, self.known.certain) = (0, false);
        // Taken from the batches again, from the first on.
        *epochs = LeaderEpochs::default();
        self.recover_unsynced(segments, epochs)
    }

    /// Verifies what lies past the recovery point, cuts the log where it stops being right, makes what remains durable.
    fn recover_unsynced(&self, segments: &mut Vec<Arc<Segment>>, epochs: &mut LeaderEpochs) -> io::Result<i64> {
        let mut log_end = 0;
        let mut kept = 0;
        let mut cut = false;
        for (i, segment) in segments.iter().enumerate() {
            let next_base = segments.get(i + 1).map(|next| next.base_offset);
            if next_base.is_some_and(|next| next <= self.known.recovery_point) {
                // Wholly below: flushed with its indexes when it was closed.
                (log_end, kept) = (next_base.unwrap_or(log_end), i + 1);
                continue;
            }
            // Past the recovery point segments join without a gap, unless one between was lost with what was not synced; then nothing behind
            // it was acknowledged either. Retention and cleaning touch only what the checkpoint covers.
            let joins =
                if i == 0 { segment.base_offset <= self.known.recovery_point } else { segment.base_offset == log_end };
            if self.known.certain && segment.base_offset > self.known.recovery_point && !joins {
                cut = true;
                break;
            }
            let recovered = self.recover_segment(segment, epochs)?;
            (log_end, kept) = (recovered.next_offset, i + 1);
            if recovered.cut {
                cut = true;
                break;
            }
        }
        let mut dropped = segments.split_off(kept);
        for segment in &dropped {
            tracing::error!(partition = %self.name, base_offset = segment.base_offset, bytes = segment.size(), "dropping a segment behind damage");
            let mut marked = Vec::new();
            segment.mark_deleted(&mut marked)?;
            for path in marked {
                self.disk().remove_file(&path)?;
            }
        }
        dropped.clear();
        if segments.is_empty() {
            log_end = self.known.log_start_offset.max(self.known.recovery_point);
            let now_ms = self.context.env.clock.wall_ms();
            segments.push(Arc::new(Segment::create(self.disk(), &self.dir, log_end, now_ms)?));
        }
        if cut || log_end > self.known.recovery_point {
            for segment in segments.iter().filter(|segment| segment.size() > 0) {
                segment.file()?.sync_data()?;
            }
        }
        // Even with nothing to verify, the segment file itself may be younger than the last sync of the directory.
        self.disk().sync_dir(&self.dir)?;
        self.disk().sync_dir(self.context.log_dir.path())?;
        Ok(log_end)
    }

    fn recover_segment(&self, segment: &Arc<Segment>, epochs: &mut LeaderEpochs) -> io::Result<RecoveredSegment> {
        let size = segment.size();
        let file = segment.file()?;
        let mut recovered = RecoveredSegment { end: 0, next_offset: segment.base_offset, cut: false };
        let mut indexes = IndexBuilder::new(segment.base_offset, 4096);
        let mut buffer = Vec::new();
        let mut damage = None;
        for found in segment.scan(0, size)? {
            match found.and_then(|found| self.verify(segment, &*file, found, recovered.next_offset, &mut buffer)) {
                Ok(found) => {
                    indexes.add(&found);
                    epochs.assign(found.header.leader_epoch, found.header.base_offset);
                    (recovered.end, recovered.next_offset) = (found.end(), found.header.next_offset());
                }
                Err(error) if is_damage(&error) => {
                    damage = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if recovered.end < size {
            let reason = damage.map_or_else(|| "cut off".to_owned(), |error| error.to_string());
            tracing::warn!(
                partition = %self.name, base_offset = segment.base_offset, position = recovered.end, bytes = size - recovered.end,
                next_offset = recovered.next_offset, %reason, "cutting the log where it is not whole"
            );
            file.truncate(recovered.end)?;
            segment.publish_size(recovered.end);
            recovered.cut = true;
        }
        segment.set_indexes(indexes)?;
        Ok(recovered)
    }

    /// Checks one batch: its place, and its checksum where it lies past the recovery point (everywhere, if what an orderly stop left does
    /// not fit together).
    fn verify(
        &self,
        segment: &Segment,
        file: &dyn DiskFile,
        found: Found,
        expected: i64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Found> {
        let header = &found.header;
        let damaged = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        if header.base_offset < expected || !segment.can_hold_offset(header.last_offset()) {
            return Err(damaged(format!("offset {} where at least {expected} was expected", header.base_offset)));
        }
        if header.next_offset() > self.known.recovery_point || self.known.clean {
            buffer.resize(header.size(), 0);
            file.read_exact_at(buffer, found.position)?;
            header.verify_crc(buffer).map_err(|error| damaged(error.to_string()))?;
        }
        Ok(found)
    }
}

/// Takes the leader epochs from the batches, which all carry theirs.
fn rebuild_epochs(segments: &[Arc<Segment>], epochs: &mut LeaderEpochs) -> io::Result<()> {
    for segment in segments {
        for found in segment.scan(0, segment.size())? {
            // Old damage below the recovery point shows when that range is read; here it only ends the search in this segment.
            let Ok(found) = found else { break };
            epochs.assign(found.header.leader_epoch, found.header.base_offset);
        }
    }
    Ok(())
}

struct RecoveredSegment {
    end: u64,
    next_offset: i64,
    cut: bool,
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Producer state at `log_end`: the newest readable snapshot not past it, and the batches after that. Snapshots past it are removed.
pub(super) fn load_producers(
    disk: &dyn Disk,
    dir: &Path,
    segments: &[Arc<Segment>],
    log_end: i64,
    now: Instant,
) -> io::Result<ProducerStates> {
    let mut snapshots: Vec<i64> = Vec::new();
    for entry in disk.read_dir(dir)? {
        if let Some((offset, SNAPSHOT_SUFFIX)) = parse_file_name(&entry.name) {
            if offset <= log_end {
                snapshots.push(offset);
            } else {
                disk.remove_file(&dir.join(&entry.name))?;
            }
        }
    }
    let log_start = segments.first().map_or(0, |segment| segment.base_offset);
    let (mut producers, mut from) = (ProducerStates::default(), log_start);
    while let Some(offset) = snapshots.pop() {
        let path = dir.join(file_name(offset, SNAPSHOT_SUFFIX));
        let content = disk.read_file(&path, 1 << 30)?;
        match producer_snapshot::decode(&content) {
            Ok(states) => {
                (producers, from) = (states, offset.max(log_start));
                break;
            }
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "passing over a damaged producer snapshot");
                disk.remove_file(&path)?;
            }
        }
    }
    // Kept: one per segment, for truncation. Others were taken at a stop and are outdated by the newest.
    for offset in snapshots {
        if !segments.iter().any(|segment| segment.base_offset == offset) {
            disk.remove_file(&dir.join(file_name(offset, SNAPSHOT_SUFFIX)))?;
        }
    }
    replay(&mut producers, segments, from, log_end)?;
    producers.seen_at(now);
    Ok(producers)
}

fn replay(producers: &mut ProducerStates, segments: &[Arc<Segment>], from: i64, log_end: i64) -> io::Result<()> {
    let first = segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
    for segment in segments.iter().skip(first) {
        if from >= log_end {
            break;
        }
        let size = segment.size();
        let start = match segment.find_offset(from, size) {
            Ok(found) => found.map_or(size, |found| found.position),
            Err(error) if is_damage(&error) => continue,
            Err(error) => return Err(error),
        };
        for found in segment.scan(start, size)? {
            match found {
                Ok(found) if found.header.base_offset >= from => {
                    producers.update(&found.header, None);
                }
                Ok(_) => {}
                Err(error) if is_damage(&error) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
