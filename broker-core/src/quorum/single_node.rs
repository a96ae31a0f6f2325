//! A quorum of one: the metadata log on this node's disk, every change synced before it counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use levada_env::Env;
use levada_wire::records::{BatchIter, RecordBatchBuilder};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::image::MetadataImage;
use super::record::MetadataRecord;
use super::{BoxFuture, ImageListener, MetadataQuorum, QuorumError};
use crate::config::listeners::Endpoint;
use crate::log::{AppendOrigin, AppendRequest, LogError, PartitionLog, ReadLimits, ValidationRules};

/// The feature whose level says which records a metadata log may have.
const METADATA_FEATURE: &str = "levada.metadata";

/// The level this build writes and the highest it reads.
const METADATA_LEVEL: i16 = 1;

/// Bytes read at a time when replaying.
const REPLAY_BYTES: usize = 1 << 20;

/// Changes that may wait for their turn.
const QUEUE: usize = 1024;

/// What this node registers with.
#[derive(Debug, Clone)]
pub struct QuorumOptions {
    /// Id of this node.
    pub node_id: i32,
    /// The cluster id on disk.
    pub cluster_id: String,
    /// Rack.
    pub rack: Option<String>,
    /// What clients are told, per listener.
    pub endpoints: Vec<Endpoint>,
    /// Ids of the topics whose partitions were found on disk: which of them were deleted is remembered.
    pub on_disk: BTreeSet<Uuid>,
}

/// Why the metadata log cannot be opened. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum QuorumOpenError {
    /// Reading or writing failed.
    #[error("metadata log: {0}")]
    Log(#[from] LogError),
    /// A record cannot be read.
    #[error("metadata log, offset {offset}: {reason}")]
    Record {
        /// Where.
        offset: i64,
        /// Why.
        reason: String,
    },
    /// The log belongs to another cluster.
    #[error("metadata log belongs to cluster {found}, the log directory to cluster {expected}")]
    Cluster {
        /// In the metadata log.
        found: String,
        /// In `meta.properties`.
        expected: String,
    },
    /// The log was written by a newer release.
    #[error(
        "metadata log has {METADATA_FEATURE} level {0}, this release knows levels up to {METADATA_LEVEL}; run a newer release"
    )]
    Newer(i16),
    /// The registration was refused.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}

struct Submission {
    based_on: i64,
    records: Vec<MetadataRecord>,
    answer: oneshot::Sender<Result<Arc<MetadataImage>, QuorumError>>,
}

struct Shared {
    image: ArcSwap<MetadataImage>,
    listeners: Mutex<Vec<Arc<dyn ImageListener>>>,
}

/// [`MetadataQuorum`] of a single node.
pub struct SingleNodeQuorum {
    shared: Arc<Shared>,
    /// Topics found on disk that the log says were deleted.
    removed: BTreeSet<Uuid>,
    submissions: mpsc::Sender<Submission>,
}

impl SingleNodeQuorum {
    /// Replay `log`, then register this node, which gives every partition it leads the next leader epoch.
    pub async fn open(env: &Env, log: PartitionLog, options: QuorumOptions) -> Result<Arc<Self>, QuorumOpenError> {
        let mut removed = BTreeSet::new();
        let image = replay(&log, |record| match record {
            MetadataRecord::RemoveTopic { id } if options.on_disk.contains(id) => drop(removed.insert(*id)),
            _ => {}
        })
        .await?;
        if let Some(level) = image.features.get(METADATA_FEATURE).filter(|level| **level > METADATA_LEVEL) {
            return Err(QuorumOpenError::Newer(*level));
        }
        if !image.cluster_id.is_empty() && *image.cluster_id != *options.cluster_id {
            let found = image.cluster_id.to_string();
            return Err(QuorumOpenError::Cluster { found, expected: options.cluster_id });
        }
        let leader_epoch = log.latest_epoch().map_or(0, |latest| latest.epoch + 1);
        log.assign_leader_epoch(leader_epoch);
        let shared = Arc::new(Shared { image: ArcSwap::from_pointee(image), listeners: Mutex::default() });
        let (submissions, queue) = mpsc::channel(QUEUE);
        let worker = Worker { shared: shared.clone(), log, leader_epoch, env: env.clone() };
        tokio::spawn(worker.run(queue));
        let quorum = Arc::new(Self { shared, removed, submissions });
        quorum.register(env, options).await?;
        Ok(quorum)
    }

    async fn register(&self, env: &Env, options: QuorumOptions) -> Result<(), QuorumError> {
        let image = self.image();
        let mut records = Vec::new();
        if image.cluster_id.is_empty() {
            records.push(MetadataRecord::FeatureLevel { name: METADATA_FEATURE.to_owned(), level: METADATA_LEVEL });
            records.push(MetadataRecord::ClusterId { id: options.cluster_id });
        }
        records.push(MetadataRecord::RegisterBroker {
            broker_id: options.node_id,
            incarnation: Uuid::from_bytes(env.rng.uuid_bytes()),
            rack: options.rack,
            endpoints: options.endpoints,
        });
        self.submit(image.offset, records).await.map(|_| ())
    }
}

impl MetadataQuorum for SingleNodeQuorum {
    fn image(&self) -> Arc<MetadataImage> {
        self.shared.image.load_full()
    }

    fn submit(
        &self,
        based_on: i64,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'static, Result<Arc<MetadataImage>, QuorumError>> {
        let submissions = self.submissions.clone();
        Box::pin(async move {
            let (answer, outcome) = oneshot::channel();
            let submission = Submission { based_on, records, answer };
            submissions.send(submission).await.map_err(|_| QuorumError::Closed)?;
            outcome.await.map_err(|_| QuorumError::Closed)?
        })
    }

    fn subscribe(&self, listener: Arc<dyn ImageListener>) {
        self.shared.listeners.lock().push(listener);
    }

    fn was_removed(&self, topic: Uuid) -> bool {
        self.removed.contains(&topic)
    }
}

/// Carries changes out one after the other; ends when the quorum is dropped.
struct Worker {
    shared: Arc<Shared>,
    log: PartitionLog,
    leader_epoch: i32,
    env: Env,
}

impl Worker {
    async fn run(self, mut queue: mpsc::Receiver<Submission>) {
        while let Some(submission) = queue.recv().await {
            let outcome = self.commit(submission.based_on, &submission.records).await;
            if let Err(QuorumError::Log(cause)) = &outcome {
                tracing::error!(cause, "metadata log cannot be written");
            }
            // The caller may have gone; the change stands all the same.
            let _ = submission.answer.send(outcome);
        }
    }

    async fn commit(&self, based_on: i64, records: &[MetadataRecord]) -> Result<Arc<MetadataImage>, QuorumError> {
        let old = self.shared.image.load_full();
        if old.offset != based_on {
            return Err(QuorumError::Conflict);
        }
        if records.is_empty() {
            return Ok(old);
        }
        self.write(records).await?;
        let new = Arc::new(old.apply(records));
        self.shared.image.store(new.clone());
        let listeners = self.shared.listeners.lock().clone();
        for listener in listeners {
            listener.on_image(&old, &new);
        }
        Ok(new)
    }

    async fn write(&self, records: &[MetadataRecord]) -> Result<(), QuorumError> {
        let failed = |error: &dyn std::fmt::Display| QuorumError::Log(error.to_string());
        let now_ms = self.env.clock.wall_ms();
        let mut builder = RecordBatchBuilder::new(Vec::new());
        for record in records {
            builder.append(now_ms, None, Some(&record.encode()), []).map_err(|error| failed(&error))?;
        }
        let config = self.log.config();
        let rules = ValidationRules::new(&config, now_ms, AppendOrigin::Coordinator);
        let batches = self.log.validate(Bytes::from(builder.finish()), &rules).await.map_err(|error| failed(&error))?;
        let batches = batches.map_err(|error| failed(&error))?;
        let permit = self.log.reserve(batches.size()).await.map_err(|error| failed(&error))?;
        let append = self.log.append(AppendRequest::coordinator(batches, self.leader_epoch), permit);
        let info = append.await.map_err(|error| failed(&error))?;
        self.log.wait_durable(info.last_offset + 1).await.map_err(|error| failed(&error))?;
        self.log.set_high_watermark(info.last_offset + 1);
        Ok(())
    }
}

/// The image of all records, each of which `seen` is shown.
async fn replay(log: &PartitionLog, mut seen: impl FnMut(&MetadataRecord)) -> Result<MetadataImage, QuorumOpenError> {
    // What survived the last crash may still be in the page cache only; it counts once it is on disk.
    let end = log.log_end_offset();
    log.wait_durable(end).await?;
    let mut image = MetadataImage::default();
    image.offset = log.log_start_offset();
    while image.offset < end {
        let limits = ReadLimits { max_bytes: REPLAY_BYTES, end_offset: end, at_least_one: true };
        let read = log.read(image.offset, limits).await?;
        let chunks = log.materialise(read.data).await?;
        let before = image.offset;
        for batch in BatchIter::of_chunks(chunks) {
            let damaged =
                |error: &dyn std::fmt::Display| QuorumOpenError::Record { offset: before, reason: error.to_string() };
            let batch = batch.map_err(|error| damaged(&error))?;
            for record in batch.records(REPLAY_BYTES * 64).map_err(|error| damaged(&error))? {
                let record = record.map_err(|error| damaged(&error))?;
                let offset = image.offset;
                let value = record.value.unwrap_or_default();
                let record = MetadataRecord::decode(value)
                    .map_err(|error| QuorumOpenError::Record { offset, reason: error.to_string() })?;
                seen(&record);
                image.apply_one(&record);
                image.offset += 1;
            }
        }
        if image.offset == before {
            return Err(QuorumOpenError::Record {
                offset: before,
                reason: "no whole batch where one was expected".into(),
            });
        }
    }
    Ok(image)
}
