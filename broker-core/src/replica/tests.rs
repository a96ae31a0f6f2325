//! Partitions over a log directory that loses files or goes out of service, on the simulated machine.

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
use crate::log::{AppendOrigin, FrameRoom, LogConfig, LogError, LogManager, LogManagerOptions, TopicPartition};
use crate::quorum::{MetadataQuorum, MetadataRecord, QuorumOptions, SingleNodeQuorum};

const DIR: &str = "/data";
const ID: Uuid = Uuid::from_u128(0x70);

async fn open(sim: &SimEnv) -> (Arc<LogManager>, Arc<SingleNodeQuorum>, Arc<ReplicaManager>) {
    let mut options = LogManagerOptions::new(DIR);
    options.reserve_bytes = 0;
    let config = Arc::new(BrokerConfig::with_defaults(Path::new(DIR)));
    options.node_id = config.node_id;
    let logs = LogManager::open(sim.env(), options).await.unwrap();
    let name = TopicPartition::new("__cluster_metadata", 0);
    let log = logs.create(name, Some(Uuid::from_u128(1)), LogConfig::default()).await.unwrap();
    let options = QuorumOptions {
        node_id: config.node_id,
        cluster_id: logs.cluster_id().to_owned(),
        rack: None,
        endpoints: Vec::new(),
    };
    let quorum = SingleNodeQuorum::open(&sim.env(), log, options).await.unwrap();
    let image = quorum.image();
    if image.topic("t").is_none() {
        let mut records = vec![MetadataRecord::Topic { name: "t".to_owned(), id: ID }];
        records.extend((0..2).map(|index| MetadataRecord::Partition {
            topic_id: ID,
            index,
            replicas: vec![config.node_id],
            isr: vec![config.node_id],
            leader: config.node_id,
            leader_epoch: 0,
        }));
        quorum.submit(image.offset, records).await.unwrap();
    }
    let replicas = ReplicaManager::new(logs.clone(), quorum.clone(), config);
    (logs, quorum, replicas)
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
