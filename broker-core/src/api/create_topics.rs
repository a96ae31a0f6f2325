//! CreateTopics (key 19), versions 2 to 7. -1 for partitions or replication factor means the broker's default; answers
//! carry the effective configs from version 5 on and the topic id from version 7 on.

use std::collections::{BTreeMap, BTreeSet};

use levada_wire::ErrorCode;
use levada_wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use uuid::Uuid;

use super::config_view::{ConfigView, topic_entries};
use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use crate::config::topic_keys::IGNORED_TOPIC_KEYS;
use crate::quorum::topics::{self, NewTopic, TopicChangeError};
use crate::quorum::{ConfigResource, MetadataImage, MetadataRecord, change, is_internal_topic};
use crate::security::{Operation, QuotaKind, Resource};

/// Why topics are refused that would bring more than [`topics::MAX_NEW_PARTITIONS`] by one request.
const TOO_MANY: &str = "the request makes too many partitions; make the rest with another";

type Outcome = Result<Uuid, TopicChangeError>;

pub(super) async fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let doubled = doubled_names(&request.topics);
    let allowed = |name: &str| {
        services.authorizer.allows(&ctx.principal, Operation::Create, Resource::CLUSTER)
            || services.authorizer.allows(&ctx.principal, Operation::Create, Resource::topic(name))
    };
    let mut refused = Vec::new();
    let mut wishes = Vec::new();
    for topic in request.topics {
        if doubled.contains(&topic.name) {
            let text = "the topic is named twice in the request".to_owned();
            refused.push(failure(topic.name, ErrorCode::InvalidRequest, text));
        } else if !allowed(&topic.name) {
            let code = ErrorCode::TopicAuthorizationFailed;
            refused.push(failure(topic.name, code, code.message().to_owned()));
        } else {
            wishes.push(to_domain(services, topic));
        }
    }
    let throttle = services.quotas.record(
        QuotaKind::ControllerMutation,
        &ctx.principal,
        ctx.client_id.as_deref(),
        wishes.len() as u64,
    );
    let decided = ctx.before_deadline(decide_all(services, &wishes, request.validate_only)).await;
    // What was handed over by then is made all the same.
    let (outcomes, image) = decided.unwrap_or_else(|| {
        let timed_out = wishes.iter().map(|_| Err(TopicChangeError::TimedOut));
        (timed_out.collect(), services.quorum.image())
    });
    let mut topics: Vec<CreatableTopicResult> = wishes
        .into_iter()
        .zip(outcomes)
        .map(|(wish, outcome)| {
            let name = match &wish {
                Ok(new) => new.name.clone(),
                Err((name, _)) => name.clone(),
            };
            match outcome {
                Ok(id) => success(services, &image, name, id, request.validate_only),
                Err(error) => failure(name, error.error_code(), error.to_string()),
            }
        })
        .collect();
    topics.extend(refused);
    CreateTopicsResponse { throttle_time_ms: throttle.as_millis() as i32, topics }
}

fn doubled_names(topics: &[CreatableTopic]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    topics.iter().filter(|topic| !seen.insert(topic.name.as_str())).map(|topic| topic.name.clone()).collect()
}

fn to_domain(services: &Services, topic: CreatableTopic) -> Result<NewTopic, (String, TopicChangeError)> {
    if is_internal_topic(&topic.name) {
        let text = "this topic is made by the broker itself on first use".to_owned();
        return Err((topic.name, TopicChangeError::Request(text)));
    }
    let mut assignments = None;
    if !topic.assignments.is_empty() {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            let text = "give either an assignment or numbers of partitions and replicas, not both".to_owned();
            return Err((topic.name, TopicChangeError::Request(text)));
        }
        let count = topic.assignments.len();
        let map: BTreeMap<i32, Vec<i32>> =
            topic.assignments.into_iter().map(|a| (a.partition_index, a.broker_ids)).collect();
        if map.len() != count {
            let text = "the assignment has a partition twice".to_owned();
            return Err((topic.name, TopicChangeError::Assignment(text)));
        }
        assignments = Some(map);
    }
    let mut configs = BTreeMap::new();
    for config in topic.configs {
        let key = config.name;
        if IGNORED_TOPIC_KEYS.contains(&key.as_str()) {
            tracing::debug!(topic = topic.name, key, "topic config is gone in Kafka 4 and has no effect");
            continue;
        }
        match config.value {
            Some(value) => configs.insert(key, value),
            None => {
                let text = format!("topic config {key:?} has no value");
                return Err((topic.name, TopicChangeError::Request(text)));
            }
        };
    }
    Ok(NewTopic {
        id: services.topics.new_id(),
        partitions: if topic.num_partitions == -1 {
            services.topics.default_partitions()
        } else {
            topic.num_partitions
        },
        replication_factor: match topic.replication_factor {
            -1 => services.config.default_replication_factor,
            given => given,
        },
        name: topic.name,
        assignments,
        configs,
    })
}

/// Decide on all topics against one image, so that they take one append; each fails alone.
async fn decide_all(
    services: &Services,
    wishes: &[Result<NewTopic, (String, TopicChangeError)>],
    validate_only: bool,
) -> (Vec<Outcome>, std::sync::Arc<MetadataImage>) {
    let decided = change(&*services.quorum, |image| {
        let mut working = image.clone();
        let limit = image.partition_count() + topics::MAX_NEW_PARTITIONS as usize;
        let mut records: Vec<MetadataRecord> = Vec::new();
        let mut outcomes: Vec<Outcome> = Vec::new();
        for wish in wishes {
            let outcome = match wish {
                Ok(_) if working.partition_count() >= limit => Err(TopicChangeError::Policy(TOO_MANY.to_owned())),
                Ok(new) => topics::create(&working, new).map(|made| {
                    working.apply_all(&made);
                    records.extend(made);
                    new.id
                }),
                Err((_, error)) => Err(error.clone()),
            };
            outcomes.push(outcome);
        }
        if validate_only {
            records.clear();
        }
        Ok::<_, TopicChangeError>((records, (outcomes, working)))
    })
    .await;
    match decided {
        Ok(((outcomes, working), image)) => (outcomes, if validate_only { working.into() } else { image }),
        Err(error) => (wishes.iter().map(|_| Err(error.clone())).collect(), services.quorum.image()),
    }
}

fn success(
    services: &Services,
    image: &MetadataImage,
    name: String,
    id: Uuid,
    validate_only: bool,
) -> CreatableTopicResult {
    let topic = image.topic(&name);
    let overrides = image.config(&ConfigResource::Topic(name.as_str().into())).cloned().unwrap_or_default();
    let view = ConfigView::new(services, image);
    let configs = topic_entries(view, &overrides)
        .map(|entry| CreatableTopicConfigs {
            name: entry.def.name.to_owned(),
            config_source: entry.source(),
            value: entry.value(),
            read_only: false,
            is_sensitive: false,
        })
        .collect();
    CreatableTopicResult {
        topic_id: if validate_only { Uuid::nil() } else { id },
        num_partitions: topic.map_or(-1, |topic| topic.partitions.len() as i32),
        replication_factor: topic
            .and_then(|topic| topic.partition(0))
            .map_or(-1, |partition| partition.replicas.len() as i16),
        configs: Some(configs),
        name,
        ..CreatableTopicResult::default()
    }
}

fn failure(name: String, code: ErrorCode, text: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: code.code(),
        error_message: Some(text),
        num_partitions: -1,
        replication_factor: -1,
        ..CreatableTopicResult::default()
    }
}
