//! DescribeConfigs (key 32), versions 1 to 4: topics and brokers, with synonyms, types and documentation on request.

use std::collections::HashSet;

use levada_wire::ErrorCode;
use levada_wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::config_view::{ConfigView, Entry, all_broker_entries, broker_entries, topic_entries};
use super::context::RequestContext;
use super::services::Services;
use crate::config::key::Update;
use crate::quorum::ConfigResource;
use crate::security::{Operation, Resource};

/// Most resources that one answer describes.
const MAX_RESOURCES: usize = 10_000;

/// What to tell about each key.
#[derive(Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
}

pub(super) fn handle(
    services: &Services,
    ctx: &RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let detail = Detail { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let describe = |resource: DescribeConfigsResource| {
        let (error_code, error_message, configs) = match entries(services, ctx, &resource) {
            Ok(entries) => (ErrorCode::None, None, pick(&resource, entries, detail)),
            Err((code, text)) => (code, Some(text), Vec::new()),
        };
        DescribeConfigsResult {
            error_code: error_code.code(),
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    };
    // Each once and not too many: an answer is much larger than what asks for it.
    let mut seen = HashSet::new();
    let first =
        |wish: &DescribeConfigsResource| match ConfigResource::from_wire(wish.resource_type, &wish.resource_name) {
            Some(resource) => seen.insert(resource),
            None => true,
        };
    DescribeConfigsResponse {
        results: request.resources.into_iter().filter(first).take(MAX_RESOURCES).map(describe).collect(),
        ..DescribeConfigsResponse::default()
    }
}

fn entries(
    services: &Services,
    ctx: &RequestContext,
    wish: &DescribeConfigsResource,
) -> Result<Vec<Entry>, (ErrorCode, String)> {
    let image = services.quorum.image();
    let view = ConfigView::new(services, &image);
    let resource = ConfigResource::from_wire(wish.resource_type, &wish.resource_name);
    let allowed = |what| services.authorizer.allows(&ctx.principal, Operation::DescribeConfigs, what);
    match resource {
        Some(ConfigResource::Topic(name)) => {
            if !allowed(Resource::topic(&name)) {
                return Err(refusal(ErrorCode::TopicAuthorizationFailed));
            }
            if image.topic(&name).is_none() {
                return Err(refusal(ErrorCode::UnknownTopicOrPartition));
            }
            let overrides = image.config(&ConfigResource::Topic(name)).cloned().unwrap_or_default();
            Ok(topic_entries(view, &overrides).collect())
        }
        Some(ConfigResource::Broker(_)) if !allowed(Resource::CLUSTER) => {
            Err(refusal(ErrorCode::ClusterAuthorizationFailed))
        }
        Some(ConfigResource::Broker(None)) => Ok(all_broker_entries(view).collect()),
        Some(ConfigResource::Broker(Some(id))) if id == services.config.node_id => Ok(broker_entries(view).collect()),
        Some(ConfigResource::Broker(Some(id))) => {
            let text = format!("this is broker {}, not {id}", services.config.node_id);
            Err((ErrorCode::InvalidRequest, text))
        }
        None => {
            let text =
                format!("no configuration of resource type {} name {:?}", wish.resource_type, wish.resource_name);
            Err((ErrorCode::InvalidRequest, text))
        }
    }
}

fn refusal(code: ErrorCode) -> (ErrorCode, String) {
    (code, code.message().to_owned())
}

fn pick(wish: &DescribeConfigsResource, entries: Vec<Entry>, detail: Detail) -> Vec<DescribeConfigsResourceResult> {
    let keys = wish.configuration_keys.as_ref().map(|keys| keys.iter().map(String::as_str).collect::<HashSet<_>>());
    let wanted = |entry: &Entry| match &keys {
        // Clients before KIP-277 send an empty list for all keys.
        Some(keys) if !keys.is_empty() => keys.contains(&entry.def.name),
        _ => true,
    };
    let is_topic = wish.resource_type == 2;
    entries.into_iter().filter(wanted).map(|entry| render(entry, is_topic, detail)).collect()
}

fn render(entry: Entry, is_topic: bool, detail: Detail) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: entry.def.name.to_owned(),
        value: entry.value(),
        read_only: !is_topic && entry.def.update == Update::ReadOnly,
        config_source: entry.source(),
        is_sensitive: false,
        config_type: entry.def.kind.wire_id(),
        documentation: detail.documentation.then(|| entry.def.doc.to_owned()),
        synonyms: if detail.synonyms { synonyms(&entry) } else { Vec::new() },
    }
}

fn synonyms(entry: &Entry) -> Vec<DescribeConfigsSynonym> {
    let shown = entry.layers.iter().filter(|layer| layer.value.is_some());
    shown
        .map(|layer| DescribeConfigsSynonym {
            name: layer.name.to_owned(),
            value: layer.value.clone(),
            source: layer.source as i8,
        })
        .collect()
}
