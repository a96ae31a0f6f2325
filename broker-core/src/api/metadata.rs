//! Metadata (key 3), versions 0 to 13: brokers as the caller's listener sees them, topics with leaders and ids. Creates
//! topics where both sides allow it; what is created is in the answer, with its leader.

use std::collections::HashSet;
use std::sync::Arc;

use levada_wire::ErrorCode;
use levada_wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use uuid::Uuid;

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::quorum::{MetadataImage, TopicImage, is_internal_topic};
use crate::security::{Operation, Resource};

/// Most topics that one request creates. Clients ask again for what is missing, and each costs a change of its own.
const MAX_CREATED: usize = 100;

/// Means that authorized operations were not asked for.
const NOT_ASKED: i32 = i32::MIN;

pub(super) async fn handle(services: &Services, ctx: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let with_operations = request.include_topic_authorized_operations;
    let topics = match request.topics {
        // Version 0 has no null; there an empty list asks for everything.
        Some(topics) if ctx.api_version > 0 || !topics.is_empty() => {
            let create = request.allow_auto_topic_creation && services.config.auto_create_topics;
            let mut may_create = if create { MAX_CREATED } else { 0 };
            // Each once, as Kafka: repeating a large topic must not make the answer larger than the cluster.
            let mut seen = HashSet::new();
            let mut answers = Vec::new();
            for topic in topics {
                if seen.insert((topic.name.clone(), topic.topic_id)) {
                    answers.push(one_topic(services, ctx, topic, &mut may_create, with_operations).await);
                }
            }
            answers
        }
        _ => all_topics(services, ctx, with_operations),
    };
    let image = services.quorum.image();
    MetadataResponse {
        brokers: brokers(&image, &ctx.listener),
        cluster_id: Some(image.cluster_id.to_string()),
        controller_id: image.controller_id(),
        topics,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            services.authorizer.authorized_operations(&ctx.principal, Resource::CLUSTER)
        } else {
            NOT_ASKED
        },
        ..MetadataResponse::default()
    }
}

fn brokers(image: &MetadataImage, listener: &str) -> Vec<MetadataResponseBroker> {
    let brokers = image.brokers.values().filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
        })
    });
    brokers.collect()
}

fn all_topics(services: &Services, ctx: &RequestContext, with_operations: bool) -> Vec<MetadataResponseTopic> {
    let image = services.quorum.image();
    let visible = |topic: &&Arc<TopicImage>| {
        services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::topic(&topic.name))
    };
    image.topics().filter(visible).map(|topic| describe(services, ctx, topic, with_operations)).collect()
}

async fn one_topic(
    services: &Services,
    ctx: &RequestContext,
    wish: MetadataRequestTopic,
    may_create: &mut usize,
    with_operations: bool,
) -> MetadataResponseTopic {
    let refuse = |name: Option<String>, id: Uuid, code: ErrorCode| MetadataResponseTopic {
        error_code: code.code(),
        // Before version 12 the name may not be null.
        name: if ctx.api_version >= 12 { name } else { Some(name.unwrap_or_default()) },
        topic_id: id,
        topic_authorized_operations: NOT_ASKED,
        ..MetadataResponseTopic::default()
    };
    let image = services.quorum.image();
    let Some(name) = wish.name else {
        return match image.topic_by_id(wish.topic_id) {
            Some(topic) if can_see(services, ctx, &topic.name) => describe(services, ctx, topic, with_operations),
            _ => refuse(None, wish.topic_id, ErrorCode::UnknownTopicId),
        };
    };
    if !can_see(services, ctx, &name) {
        return refuse(Some(name), Uuid::nil(), ErrorCode::TopicAuthorizationFailed);
    }
    if let Some(topic) = image.topic(&name) {
        return describe(services, ctx, topic, with_operations);
    }
    if *may_create == 0 || is_internal_topic(&name) {
        let code = match crate::quorum::check_topic_name(&name) {
            Ok(()) => ErrorCode::UnknownTopicOrPartition,
            Err(error) => error.error_code(),
        };
        return refuse(Some(name), Uuid::nil(), code);
    }
    let allowed = services.authorizer.allows(&ctx.principal, Operation::Create, Resource::CLUSTER)
        || services.authorizer.allows(&ctx.principal, Operation::Create, Resource::topic(&name));
    if !allowed {
        return refuse(Some(name), Uuid::nil(), ErrorCode::TopicAuthorizationFailed);
    }
    *may_create -= 1;
    match services.topics.ensure(&name).await {
        Ok(topic) => describe(services, ctx, &topic, with_operations),
        Err(error) => refuse(Some(name), Uuid::nil(), error.error_code()),
    }
}

fn can_see(services: &Services, ctx: &RequestContext, name: &str) -> bool {
    services.authorizer.allows(&ctx.principal, Operation::Describe, Resource::topic(name))
}

fn describe(
    services: &Services,
    ctx: &RequestContext,
    topic: &TopicImage,
    with_operations: bool,
) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| MetadataResponsePartition {
        partition_index: index,
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.clone(),
        isr_nodes: partition.isr.clone(),
        ..MetadataResponsePartition::default()
    });
    MetadataResponseTopic {
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: if with_operations {
            services.authorizer.authorized_operations(&ctx.principal, Resource::topic(&topic.name))
        } else {
            NOT_ASKED
        },
        ..MetadataResponseTopic::default()
    }
}
