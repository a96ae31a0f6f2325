//! Configuration as the APIs show it: every key with its value, where the value comes from, and what it would be without.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::services::Services;
use crate::config::broker_keys::{BROKER_KEYS, broker_key};
use crate::config::key::KeyDef;
use crate::config::topic_keys::{TOPIC_KEYS, broker_synonyms};
use crate::config::{BrokerConfig, scale};
use crate::quorum::{ConfigResource, MetadataImage};

/// Where a value comes from; the numbers are those of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Topic = 1,
    Broker = 2,
    AllBrokers = 3,
    Static = 4,
    Default = 5,
}

/// A value with its origin; the first of an entry's list is in force.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub name: &'static str,
    pub value: Option<String>,
    pub source: Source,
}

/// A key with all layers that give it a value, nearest first.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub def: &'static KeyDef,
    pub layers: Vec<Layer>,
}

impl Entry {
    pub fn value(&self) -> Option<String> {
        self.layers.first().and_then(|layer| layer.value.clone())
    }

    pub fn source(&self) -> i8 {
        self.layers.first().map_or(Source::Default, |layer| layer.source) as i8
    }
}

static NOTHING: LazyLock<Arc<BTreeMap<String, String>>> = LazyLock::new(Arc::default);

/// The broker's side of the layers at one image.
#[derive(Clone, Copy)]
pub(super) struct ConfigView<'a> {
    config: &'a BrokerConfig,
    dynamic_broker: &'a BTreeMap<String, String>,
    dynamic_default: &'a BTreeMap<String, String>,
}

impl<'a> ConfigView<'a> {
    pub fn new(services: &'a Services, image: &'a MetadataImage) -> Self {
        Self::of(&services.config, image)
    }

    pub fn of(config: &'a BrokerConfig, image: &'a MetadataImage) -> Self {
        let dynamic = |resource| &**image.config(&resource).unwrap_or(&NOTHING);
        Self {
            config,
            dynamic_broker: dynamic(ConfigResource::Broker(Some(config.node_id))),
            dynamic_default: dynamic(ConfigResource::Broker(None)),
        }
    }

    /// Layers of one broker key; `factor` brings its unit to that of the topic key it stands for.
    fn broker_layers(&self, name: &'static str, factor: i64, out: &mut Vec<Layer>) {
        let mut push = |value: Option<&String>, source| {
            if let Some(value) = value {
                out.push(Layer { name, value: Some(scale(value, factor)), source });
            }
        };
        push(self.dynamic_broker.get(name), Source::Broker);
        push(self.dynamic_default.get(name), Source::AllBrokers);
        push(self.given(name).as_ref(), Source::Static);
    }

    fn given(&self, name: &str) -> Option<String> {
        match name {
            "log.dir" | "log.dirs" => Some(self.config.log_dir.display().to_string()),
            name => self.config.given(name).map(str::to_owned),
        }
    }
}

/// Every topic key with the layers of one topic.
pub(super) fn topic_entries<'a>(
    view: ConfigView<'a>,
    overrides: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = Entry> + 'a {
    TOPIC_KEYS.iter().map(move |def| {
        let mut layers = Vec::new();
        if let Some(value) = overrides.get(def.name) {
            layers.push(Layer { name: def.name, value: Some(value.clone()), source: Source::Topic });
        }
        let synonyms = broker_synonyms(def.name);
        for (name, factor) in synonyms {
            view.broker_layers(name, *factor, &mut layers);
        }
        let default = synonyms.iter().find_map(|(name, factor)| {
            broker_key(name).and_then(|key| key.default).map(|default| (*name, scale(default, *factor)))
        });
        let (name, value) = match default {
            Some((name, value)) => (name, Some(value)),
            None => (def.name, def.default.map(str::to_owned)),
        };
        layers.push(Layer { name, value, source: Source::Default });
        Entry { def, layers }
    })
}

/// Every broker key with its layers.
pub(super) fn broker_entries(view: ConfigView<'_>) -> impl Iterator<Item = Entry> {
    BROKER_KEYS.iter().map(move |def| {
        let mut layers = Vec::new();
        view.broker_layers(def.name, 1, &mut layers);
        layers.push(Layer { name: def.name, value: def.default.map(str::to_owned), source: Source::Default });
        Entry { def, layers }
    })
}

/// Keys that are set for all brokers at once.
pub(super) fn all_broker_entries(view: ConfigView<'_>) -> impl Iterator<Item = Entry> {
    BROKER_KEYS.iter().filter_map(move |def| {
        let value = view.dynamic_default.get(def.name)?.clone();
        Some(Entry { def, layers: vec![Layer { name: def.name, value: Some(value), source: Source::AllBrokers }] })
    })
}
