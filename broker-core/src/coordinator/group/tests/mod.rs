//! The coordinator as its callers see it, over a log in memory and a paused clock.

mod clients;
mod crashes;
mod groups;
mod offsets;
mod restarts;
mod retention;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use levada_env::sim::SimEnv;
use levada_env::time::Duration;
use levada_wire::ErrorCode;
use levada_wire::messages::join_group::JoinGroupRequestProtocol;
use levada_wire::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use levada_wire::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use levada_wire::messages::sync_group::SyncGroupRequestAssignment;
use levada_wire::messages::*;
use parking_lot::Mutex;
use uuid::Uuid;

use super::machine::{GroupOptions, test_subscription};
use super::memory_log::{MemoryLog, Stored};
use super::*;

pub(super) const V_JOIN: i16 = 9;

/// Topics that exist.
#[derive(Default)]
pub(super) struct Topics(Mutex<BTreeMap<String, Uuid>>);

impl Topics {
    pub fn add(&self, name: &str) -> Uuid {
        let mut topics = self.0.lock();
        let id = Uuid::from_u128(topics.len() as u128 + 1);
        topics.insert(name.to_owned(), id);
        id
    }
}

impl TopicLookup for Topics {
    fn id_of(&self, name: &str) -> Option<Uuid> {
        self.0.lock().get(name).copied()
    }

    fn name_of(&self, id: Uuid) -> Option<String> {
        self.0.lock().iter().find(|(_, found)| **found == id).map(|(name, _)| name.clone())
    }

    fn has_partition(&self, name: &str, index: i32) -> bool {
        self.id_of(name).is_some() && (0..PARTITIONS).contains(&index)
    }
}

/// Of every topic.
const PARTITIONS: i32 = 1_000_000;

/// A coordinator with everything around it.
pub(super) struct Fixture {
    pub coordinator: GroupCoordinator,
    pub log: Arc<MemoryLog>,
    pub topics: Arc<Topics>,
    pub env: SimEnv,
    pub options: GroupCoordinatorOptions,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(GroupCoordinatorOptions::default())
    }

    pub fn with(options: GroupCoordinatorOptions) -> Self {
        let groups = GroupOptions { initial_rebalance_delay: Duration::ZERO, ..options.groups };
        let options = GroupCoordinatorOptions { groups, ..options };
        let topics = Arc::new(Topics::default());
        topics.add("t");
        topics.add("u");
        Self::over(Arc::default(), SimEnv::new(1), options, topics)
    }

    fn over(stored: Arc<Stored>, env: SimEnv, options: GroupCoordinatorOptions, topics: Arc<Topics>) -> Self {
        let log = MemoryLog::new(stored, options.partitions);
        let lookup: Arc<dyn TopicLookup> = topics.clone();
        let coordinator = GroupCoordinator::new(env.env(), options.clone(), log.clone(), lookup);
        coordinator.start();
        Self { coordinator, log, topics, env, options }
    }

    /// kill -9 and a new process on what the log has.
    pub fn restart(&self) -> Self {
        self.log.crash();
        self.coordinator.stop();
        Self::over(Arc::clone(&self.log.stored), self.env.clone(), self.options.clone(), Arc::clone(&self.topics))
    }

    pub async fn join(&self, member_id: &str) -> JoinGroupResponse {
        self.coordinator.join_group(&caller(3), join_request("g", member_id)).await
    }

    pub async fn sync(&self, joined: &JoinGroupResponse) -> SyncGroupResponse {
        self.coordinator.sync_group(&caller(5), sync_request("g", joined)).await
    }

    /// A stable group `g` of one member.
    pub async fn member(&self) -> JoinGroupResponse {
        let joined = self.join("").await;
        assert_eq!(joined.error_code, 0);
        assert_eq!(self.sync(&joined).await.error_code, 0);
        joined
    }

    pub fn heartbeat(&self, joined: &JoinGroupResponse) -> i16 {
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            ..HeartbeatRequest::default()
        };
        self.coordinator.heartbeat(&caller(4), &request).error_code
    }

    /// Commits as a simple consumer; the code of the only partition.
    pub async fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) -> i16 {
        let request = commit_request(group, topic, partition, offset);
        self.coordinator.offset_commit(&caller(9), request).await.topics[0].partitions[0].error_code
    }

    /// The committed offset or, if negative, the error code.
    pub async fn fetch(&self, group: &str, topic: &str, partition: i32) -> i64 {
        let response =
            self.coordinator.offset_fetch(&caller(9), fetch_request(group, topic, partition), &|_| true).await;
        let group = &response.groups[0];
        if group.error_code != 0 {
            return -1000 - i64::from(group.error_code);
        }
        group.topics[0].partitions[0].committed_offset
    }

    pub async fn state(&self, group: &str) -> String {
        let request = DescribeGroupsRequest { groups: vec![group.to_owned()], ..DescribeGroupsRequest::default() };
        let mut response = self.coordinator.describe_groups(&caller(5), &request, |_| 0).await;
        response.groups.remove(0).group_state
    }

    pub async fn delete(&self, group: &str) -> i16 {
        let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        self.coordinator.delete_groups(&caller(2), &request).await.results[0].error_code
    }
}

pub(super) fn caller(api_version: i16) -> Caller<'static> {
    Caller { client_id: "client", client_host: "/127.0.0.1", api_version }
}

pub(super) fn join_request(group: &str, member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata: test_subscription(&["t"]) }],
        ..JoinGroupRequest::default()
    }
}

/// The leader's SyncGroup gives each member its own id as assignment.
pub(super) fn sync_request(group: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assign = |id: &String| SyncGroupRequestAssignment {
        member_id: id.clone(),
        assignment: Bytes::copy_from_slice(id.as_bytes()),
    };
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: joined.members.iter().map(|member| assign(&member.member_id)).collect(),
        ..SyncGroupRequest::default()
    }
}

pub(super) fn commit_request(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: 7,
        committed_metadata: Some(format!("at {offset}")),
    };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

pub(super) fn fetch_request(group: &str, topic: &str, partition: i32) -> OffsetFetchRequest {
    let topics = vec![OffsetFetchRequestTopics {
        name: topic.to_owned(),
        partition_indexes: vec![partition],
        ..OffsetFetchRequestTopics::default()
    }];
    let group = OffsetFetchRequestGroup {
        group_id: group.to_owned(),
        topics: Some(topics),
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
}

/// Lets everything that can run do so, without time passing.
pub(super) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn code(error: ErrorCode) -> i16 {
    error as i16
}
