//! Partitions over a log directory that loses files or goes out of service, on the simulated machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use levada_env::Disk as _;
use levada_env::sim::SimEnv;
use levada_wire::records::RecordBatchBuilder;
use uuid::Uuid;

use super::partition::AppendRules;
use super::{Partition, ReplicaError, ReplicaManager, TopicRef};
use crate::config::BrokerConfig;
use crate::log::{
    AppendOrigin, FrameRoom, LogConfig, LogError, LogManager, LogManagerOptions, PartitionLog, TopicPartition,
};
use crate::quorum::{
    BoxFuture, ImageListener, MetadataImage, MetadataQuorum, MetadataRecord, QuorumError, QuorumOptions,
    SingleNodeQuorum,
};

const DIR: &str = "/data";
const ID: Uuid = Uuid::from_u128(0x70);

async fn open(sim: &SimEnv) -> (Arc<LogManager>, Arc<SingleNodeQuorum>, Arc<ReplicaManager>) {
    let (logs, quorum) = open_quorum(sim).await;
    let replicas = ReplicaManager::new(logs.clone(), quorum.clone(), config());
    (logs, quorum, replicas)
}

fn config() -> Arc<BrokerConfig> {
    let mut config = BrokerConfig::from_map(Path::new(DIR), &BTreeMap::new()).unwrap();
    config.worker_topics.insert("connect-status".to_owned());
    Arc::new(config)
}

async fn open_quorum(sim: &SimEnv) -> (Arc<LogManager>, Arc<SingleNodeQuorum>) {
    let mut options = LogManagerOptions::new(DIR);
    options.reserve_bytes = 0;
    let config = config();
    options.node_id = config.node_id;
    let logs = LogManager::open(sim.env(), options).await.unwrap();
    let name = TopicPartition::new("__cluster_metadata", 0);
    let log = logs.create(name, Some(Uuid::from_u128(1)), LogConfig::default()).await.unwrap();
    let options = QuorumOptions {
        node_id: config.node_id,
        cluster_id: logs.cluster_id().to_owned(),
        rack: None,
        endpoints: Vec::new(),
        on_disk: logs.partitions().iter().filter_map(PartitionLog::topic_id).collect(),
    };
    let quorum = SingleNodeQuorum::open(&sim.env(), log, options).await.unwrap();
    let image = quorum.image();
    if image.offset < 5 {
        quorum.submit(image.offset, topic("t", ID)).await.unwrap();
    }
    (logs, quorum)
}

/// Records that make a topic of two partitions.
fn topic(name: &str, id: Uuid) -> Vec<MetadataRecord> {
    let node_id = config().node_id;
    let mut records = vec![MetadataRecord::Topic { name: name.to_owned(), id }];
    records.extend((0..2).map(|index| MetadataRecord::Partition {
        topic_id: id,
        index,
        replicas: vec![node_id],
        isr: vec![node_id],
        leader: node_id,
        leader_epoch: 0,
    }));
    records
}

async fn commit(quorum: &SingleNodeQuorum, records: Vec<MetadataRecord>) {
    quorum.submit(quorum.image().offset, records).await.unwrap();
}

fn dirs(sim: &SimEnv, ending: &str) -> usize {
    let entries = sim.disk.read_dir(Path::new(DIR)).unwrap();
    entries.iter().filter(|entry| entry.name.starts_with("t-") && entry.name.ends_with(ending)).count()
}

async fn append(partition: &Arc<Partition>) -> Result<i64, ReplicaError> {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    builder.append(0, None, Some(b"value"), []).unwrap();
    let rules = AppendRules {
        now_ms: 0,
        origin: AppendOrigin::Client,
        acks: -1,
        min_insync_replicas: 1,
        zstd_allowed: true,
        full_validation: false,
    };
    let pending = partition.append(Bytes::from(builder.finish()), rules, &mut FrameRoom::default()).await?;
    Ok(pending.acknowledged(-1).await?.base_offset)
}

#[tokio::test(start_paused = true)]
async fn a_lost_or_damaged_topic_id_does_not_cost_the_partition() {
    let sim = SimEnv::new(1);
    let (logs, _quorum, replicas) = open(&sim).await;
    for index in 0..2 {
        append(&replicas.partition(TopicRef::Name("t"), index).await.unwrap()).await.unwrap();
    }
    replicas.close();
    logs.shutdown().await;
    sim.disk.remove_file(Path::new("/data/t-0/partition.metadata")).unwrap();
    sim.disk.edit(Path::new("/data/t-1/partition.metadata"), |content| content.truncate(3)).unwrap();
    let (_logs, _quorum, replicas) = open(&sim).await;
    for index in 0..2 {
        let partition = replicas.partition(TopicRef::Name("t"), index).await.unwrap();
        assert_eq!(partition.high_watermark(), 1, "the record is there");
        assert_eq!(partition.log().topic_id(), Some(ID));
    }
}

#[tokio::test(start_paused = true)]
async fn every_partition_of_a_failed_directory_fails_its_waiters() {
    let sim = SimEnv::new(2);
    let (_logs, _quorum, replicas) = open(&sim).await;
    let one = replicas.partition(TopicRef::Name("t"), 0).await.unwrap();
    let other = replicas.partition(TopicRef::Name("t"), 1).await.unwrap();
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.wait_high_watermark(1).await }
    });
    tokio::task::yield_now().await;
    sim.disk.faults(|faults| faults.fail_writes = 1);
    append(&one).await.unwrap_err();
    let offline = |result| matches!(result, Err(ReplicaError::Log(LogError::LogDirOffline { .. })));
    let limit = levada_env::time::Duration::from_secs(60);
    let told = levada_env::time::timeout(limit, waiting).await.expect("who waits on the other partition is told");
    assert!(offline(told.unwrap()));
    let told = levada_env::time::timeout(limit, other.wait_high_watermark(1)).await.expect("and who comes later");
    assert!(offline(told));
}

#[tokio::test(start_paused = true)]
async fn logs_of_a_topic_deleted_just_before_a_crash_go_at_the_next_start() {
    let sim = SimEnv::new(3);
    let (logs, quorum, replicas) = open(&sim).await;
    for index in 0..2 {
        append(&replicas.partition(TopicRef::Name("t"), index).await.unwrap()).await.unwrap();
    }
    // The power goes before anything follows the metadata.
    drop(replicas);
    commit(&quorum, vec![MetadataRecord::RemoveTopic { id: ID }]).await;
    drop((logs, quorum));
    let sim = sim.crash();
    let (logs, _quorum, replicas) = open(&sim).await;
    assert_eq!((dirs(&sim, "-0"), dirs(&sim, "-1")), (1, 1));
    replicas.load_existing().await;
    assert!(logs.get(&TopicPartition::new("t", 0)).is_none());
    assert_eq!((dirs(&sim, "-delete"), dirs(&sim, "-stray"), dirs(&sim, "-0")), (2, 0, 0));
    logs.start_background();
    levada_env::time::sleep(levada_env::time::Duration::from_secs(70)).await;
    assert_eq!(dirs(&sim, ""), 0);
}

#[tokio::test(start_paused = true)]
async fn logs_the_metadata_never_heard_of_are_set_aside_and_never_deleted() {
    let sim = SimEnv::new(4);
    let (logs, _quorum, replicas) = open(&sim).await;
    let foreign =
        logs.create(TopicPartition::new("t", 0), Some(Uuid::from_u128(0x99)), LogConfig::default()).await.unwrap();
    let nameless = logs.create(TopicPartition::new("t", 7), None, LogConfig::default()).await.unwrap();
    for log in [&foreign, &nameless] {
        log.flush().await.unwrap();
    }
    // Needed before the start has looked at what is there: a log of its own, not the foreign one.
    append(&replicas.partition(TopicRef::Name("t"), 0).await.unwrap()).await.unwrap();
    assert_eq!(dirs(&sim, "-stray"), 1);
    replicas.load_existing().await;
    assert_eq!((dirs(&sim, "-stray"), dirs(&sim, "-delete"), dirs(&sim, "-0")), (2, 0, 1));
    replicas.close();
    logs.shutdown().await;
    let (logs, _quorum, replicas) = open(&sim).await;
    replicas.load_existing().await;
    assert_eq!(replicas.partition(TopicRef::Name("t"), 0).await.unwrap().high_watermark(), 1);
    logs.start_background();
    levada_env::time::sleep(levada_env::time::Duration::from_secs(70)).await;
    assert_eq!(dirs(&sim, "-stray"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_disk_reserve_is_for_topics_in_which_this_process_keeps_its_state() {
    let sim = SimEnv::new(5);
    let (_logs, quorum, replicas) = open(&sim).await;
    let names = [("__mine", false), ("connect-other", false), ("connect-status", true), ("__consumer_offsets", true)];
    for (i, (name, reserved)) in names.into_iter().enumerate() {
        commit(&quorum, topic(name, Uuid::from_u128(0x100 + i as u128))).await;
        let partition = replicas.partition(TopicRef::Name(name), 0).await.unwrap();
        assert_eq!(partition.log().config().internal, reserved, "{name}");
    }
}

/// Changes the metadata between a look at the image and whatever the caller does next.
struct Racing {
    inner: Arc<SingleNodeQuorum>,
    listeners: parking_lot::Mutex<Vec<Arc<dyn ImageListener>>>,
    newer: Arc<MetadataImage>,
    raced: std::sync::atomic::AtomicBool,
}

impl MetadataQuorum for Racing {
    fn image(&self) -> Arc<MetadataImage> {
        let before = self.inner.image();
        if self.raced.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return self.newer.clone();
        }
        self.listeners.lock().iter().for_each(|listener| listener.on_image(&before, &self.newer));
        before
    }

    fn submit(
        &self,
        offset: i64,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'static, Result<Arc<MetadataImage>, QuorumError>> {
        self.inner.submit(offset, records)
    }

    fn subscribe(&self, listener: Arc<dyn ImageListener>) {
        self.listeners.lock().push(listener);
    }

    fn was_removed(&self, topic: Uuid) -> bool {
        self.inner.was_removed(topic)
    }
}

#[tokio::test(start_paused = true)]
async fn no_change_is_missed_that_comes_while_the_manager_is_made() {
    let sim = SimEnv::new(6);
    let (logs, quorum) = open_quorum(&sim).await;
    let newer = Arc::new(quorum.image().apply(&topic("late", Uuid::from_u128(0x71))));
    let racing = Racing { inner: quorum, listeners: parking_lot::Mutex::default(), newer, raced: false.into() };
    let replicas = ReplicaManager::new(logs, Arc::new(racing), config());
    assert!(replicas.topic_config(TopicRef::Name("late")).is_some());
    assert!(replicas.partition(TopicRef::Name("late"), 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_high_watermark_never_goes_back_whatever_order_it_is_told_in() {
    let sim = SimEnv::new(3);
    let (_logs, _quorum, replicas) = open(&sim).await;
    let partition = replicas.partition(TopicRef::Name("t"), 0).await.unwrap();
    for _ in 0..3 {
        append(&partition).await.unwrap();
    }
    // Two syncs that end at once tell their ends in any order.
    partition.advance(1);
    partition.log().set_high_watermark(1);
    assert_eq!((partition.high_watermark(), partition.log().high_watermark()), (3, 3));
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "invariant 2")]
async fn a_high_watermark_beyond_the_log_stops_the_broker() {
    let sim = SimEnv::new(4);
    let (_logs, _quorum, replicas) = open(&sim).await;
    replicas.partition(TopicRef::Name("t"), 0).await.unwrap().advance(1);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_nothing_behind() {
    let sim = SimEnv::new(5);
    let (_logs, _quorum, replicas) = open(&sim).await;
    let partition = replicas.partition(TopicRef::Name("t"), 0).await.unwrap();
    for _ in 0..100 {
        let wait = partition.wait_high_watermark(1);
        let moment = levada_env::time::Duration::from_millis(1);
        levada_env::time::timeout(moment, wait).await.expect_err("nothing was appended");
        let signal = super::FetchSignal::after(1);
        drop(partition.watch(&signal, partition.growth_mark(), 1));
    }
    assert_eq!(partition.waiting(), (0, 0));
}
