//! Handlers under an authorizer that does not allow everything.

use std::path::Path;
use std::sync::Arc;

use levada_env::sim::SimEnv;
use levada_wire::kinds::TypedRequest;
use levada_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use levada_wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use levada_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use levada_wire::{ErrorCode, versions};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Answer, Begun, Cancellation, RequestContext, Services, begin};
use crate::config::BrokerConfig;
use crate::security::{Authorizer, Operation, Principal, Resource};

/// Allows everything but topics called `secret`.
struct NoSecrets;

impl Authorizer for NoSecrets {
    fn allows(&self, _: &Principal, _: Operation, resource: Resource<'_>) -> bool {
        resource.name != "secret"
    }
}

async fn ask<R: TypedRequest>(services: &Arc<Services>, request: R) -> R::Response {
    let (_stop, stopping) = watch::channel(false);
    let version = versions::served_versions(R::KEY).unwrap().max;
    let ctx = RequestContext::in_process("PLAINTEXT".into(), "test", version, Cancellation::new(stopping));
    let answer = match begin(services, &ctx, request.into()).await {
        Begun::Ready(answer) => answer,
        Begun::Pending(rest) => rest.await,
    };
    let Answer::Response(response, _) = answer else { panic!("{answer:?}") };
    response.try_into().unwrap_or_else(|_| panic!("answer of another API"))
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_topic_that_may_not_be_seen_are_not_told_and_not_deleted() {
    let sim = SimEnv::new(1);
    let config = BrokerConfig::from_map(Path::new("/data"), &std::collections::BTreeMap::new()).unwrap();
    let mut services = crate::broker::open(sim.env(), config, Vec::new()).await.unwrap();
    let mut topics: Vec<(&str, Uuid)> = Vec::new();
    for name in ["open", "secret"] {
        topics.push((name, services.topics.ensure(name).await.unwrap().id));
    }
    let partition = OffsetCommitRequestPartition { committed_offset: 7, ..OffsetCommitRequestPartition::default() };
    let topic = |(_, topic_id): &(&str, Uuid)| OffsetCommitRequestTopic {
        topic_id: *topic_id,
        partitions: vec![partition.clone()],
        ..OffsetCommitRequestTopic::default()
    };
    let topics_committed = topics.iter().map(topic).collect();
    let commit = OffsetCommitRequest { group_id: "g".into(), topics: topics_committed, ..Default::default() };
    let committed = ask(&services, commit).await;
    assert!(committed.topics.iter().all(|topic| topic.partitions[0].error_code == 0));
    Arc::get_mut(&mut services).expect("nobody else has them").authorizer = Arc::new(NoSecrets);

    let topic = |(_, topic_id): &(&str, Uuid)| OffsetFetchRequestTopics {
        topic_id: *topic_id,
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let asked = [Some(topics.iter().map(topic).collect()), None];
    let mut told = Vec::new();
    for topics in asked {
        let groups = vec![OffsetFetchRequestGroup { group_id: "g".into(), topics, ..Default::default() }];
        let answer = ask(&services, OffsetFetchRequest { groups, ..OffsetFetchRequest::default() }).await;
        let topics = answer.groups.into_iter().flat_map(|group| group.topics);
        told.push(topics.map(|t| (t.partitions[0].committed_offset, t.partitions[0].error_code)).collect::<Vec<_>>());
    }
    let refused = ErrorCode::TopicAuthorizationFailed.code();
    assert_eq!(told, [vec![(7, 0), (-1, refused)], vec![(7, 0)]]);

    let topic = |(name, _): &(&str, Uuid)| OffsetDeleteRequestTopic {
        name: (*name).to_owned(),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
    };
    let deletion = OffsetDeleteRequest { group_id: "g".into(), topics: topics.iter().map(topic).collect() };
    let answer = ask(&services, deletion).await;
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(codes, [0, refused]);
}
