//! Checks a connector's configuration: the common keys, the plugin's own and its converters', all errors at once.
//!
//! Called by the herder's handle, off the herder, since definitions hold functions of the plugin's. Unknown keys are
//! kept, as Connect does, with a warning that names the nearest known one. A key that Connect acts on and this worker
//! does not yet is an error, so that nothing is ignored in silence.

mod base_keys;
mod items;
mod rules;
mod transforms;

pub use items::{Item, Items};

use crate::connect::{
    config_provider::{Providers, Resolved},
    plugin::{Plugin, Registry},
};
use indexmap::IndexMap;
use levada_connector_api::{Config, ConfigDef, ConnectorKind};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A configuration as it was posted; null values are still there.
pub type RawConfig = IndexMap<String, Option<String>>;

/// What validation needs to know of converters.
pub trait Converters: Send + Sync {
    /// The keys of a key or value converter class; `None` when there is no such class.
    fn converter(&self, class: &str) -> Option<ConfigDef>;

    /// All classes with `converter` or `header_converter`.
    fn list(&self) -> Vec<(String, &'static str)>;

    /// The keys of a header converter class.
    fn header_converter(&self, class: &str) -> Option<ConfigDef>;
}

/// What the worker's own configuration allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `connector.client.config.override.policy`.
    pub client_override: String,
    /// `topic.creation.enable`.
    pub topic_creation: bool,
    /// `group.id` of the worker, which no sink may use.
    pub worker_group: String,
}

/// A configuration that can't even be validated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// `connector.class` is missing. Only key names are told: values may be secrets (invariant 12).
    #[error("Connector config {{{0}}} contains no connector type")]
    NoClass(String),
    /// No plugin is called so.
    #[error(
        "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {available}"
    )]
    UnknownClass {
        /// As given.
        class: String,
        /// What there is.
        available: String,
    },
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Class as given.
    pub class: String,
    /// The plugin that was found for it.
    pub plugin: Arc<Plugin>,
    /// Keys, values and errors.
    pub items: Items,
    /// What is no error but likely a slip.
    pub warnings: Vec<String>,
}

impl Validation {
    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.items.errors().count()
    }

    /// All of it by weight, with what the plugin advises: what Connect's ConfigInfos have no place for.
    pub fn findings(&self, advice: &[(String, String)]) -> Json {
        let finding = |key: Option<&str>, severity: &str, message: &str| json!({ "key": key, "severity": severity, "message": message });
        let errors = self
            .items
            .list()
            .iter()
            .flat_map(|item| item.errors.iter().map(|error| finding(Some(item.name.as_str()), "error", error)));
        let slips = self.warnings.iter().map(|warning| finding(None, "warning", warning));
        let advice = advice.iter().map(|(key, message)| finding(Some(key.as_str()), "warning", message));
        let findings: Vec<_> = errors.chain(slips).chain(advice).collect();
        let errors = self.error_count();
        json!({ "name": self.class, "error_count": errors, "warning_count": findings.len() - errors, "findings": findings })
    }

    /// Connect's ConfigInfos.
    pub fn info(&self) -> Json {
        json!({
            "name": self.class,
            "error_count": self.error_count(),
            "groups": self.items.groups(),
            "configs": self.items.list().iter().map(Item::info).collect::<Vec<_>>(),
        })
    }

    /// Connect's text for a refused configuration; `None` when there is nothing wrong.
    pub fn refusal(&self) -> Option<String> {
        let count = self.error_count();
        if count == 0 {
            return None;
        }
        let mut text = format!("Connector configuration is invalid and contains the following {count} error(s):");
        for item in self.items.list() {
            for error in &item.errors {
                text.push('\n');
                // Connect's own texts name their keys.
                if !error.contains(&item.name) {
                    text.push_str(&item.name);
                    text.push_str(": ");
                }
                text.push_str(error);
            }
        }
        text.push_str(
            "\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
        );
        Some(text)
    }
}

/// Checks a configuration. Runs plugin code: call it off the herder.
pub fn validate(
    registry: &Registry,
    converters: &dyn Converters,
    policy: &Policy,
    providers: &Providers,
    raw: &RawConfig,
) -> Result<Validation, ValidateError> {
    let class = class_of(raw)?;
    let plugin = registry.find(&class).ok_or_else(|| unknown_class(registry, &class))?;
    let stored: Config = raw.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    let (resolved, unresolved) = resolve(providers, &stored);
    let config = &resolved.config;
    let base = base_def(plugin.info.kind);
    let own = &plugin.info.config_def;
    let mut items = Items::default();
    items.add(base, base.validate(config));
    let mut slips = transforms::check(&mut items, config);
    rules::topic_creation(&mut items, plugin.info.kind, config, policy);
    items.add(own, own.validate(config));
    rules::converters(&mut items, converters, config);
    if plugin.info.kind == ConnectorKind::Sink {
        rules::sink_topics(&mut items, config, policy);
    }
    rules::not_yet(&mut items, config);
    rules::client_overrides(&mut items, config, &policy.client_override);
    for (key, _) in raw.iter().filter(|(_, value)| value.is_none()) {
        items.error(key, None, "Null value can not be supplied as the configuration value.");
    }
    items.restore(&stored, &resolved);
    for error in unresolved {
        items.error(&error.0, stored.get(&error.0).map(String::as_str), error.1);
    }
    let mut warnings = warnings(base, own, config);
    warnings.append(&mut slips);
    Ok(Validation { class, plugin: Arc::clone(plugin), items, warnings })
}

/// What a plugin advises about a configuration, each with the key that it is about. Runs plugin code: call it off the
/// herder.
pub fn advice(plugin: &Plugin, providers: &Providers, raw: &RawConfig) -> Vec<(String, String)> {
    let stored: Config = raw.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    let (resolved, _) = resolve(providers, &stored);
    let found = plugin.info.config_def.advice(&resolved.config).into_iter();
    found.map(|found| (found.key, resolved.masked(&found.message))).collect()
}

/// A configuration with its placeholders resolved; those that can't be stay, with an error each.
fn resolve(providers: &Providers, stored: &Config) -> (Resolved, Vec<(String, String)>) {
    let mut resolved = Resolved::default();
    let mut errors = Vec::new();
    for (key, text) in stored {
        if let Err(error) = providers.resolve_into(key, text, &mut resolved) {
            errors.push((key.clone(), error.to_string()));
            resolved.config.insert(key.clone(), text.clone());
        }
    }
    (resolved, errors)
}

/// Definitions of the keys that all connectors of a kind have.
pub fn base_def(kind: ConnectorKind) -> &'static ConfigDef {
    match kind {
        ConnectorKind::Source => &base_keys::SOURCE,
        ConnectorKind::Sink => &base_keys::SINK,
    }
}

/// A plugin's definitions followed by the common ones it does not have, as `/connector-plugins/X/config` lists them.
pub fn plugin_definitions(plugin: &Plugin) -> Vec<Json> {
    plugin.info.config_def.clone().merged(base_def(plugin.info.kind).clone()).info()
}

/// Whether a change of this key means that running tasks must be made anew even when their own configs are the same:
/// it is read by the worker for them (converters, error handling, client settings, topics).
pub fn is_worker_key(key: &str) -> bool {
    let prefixes = ["errors.", "transforms", "predicates", "topic.creation.", "offsets.storage.", "transaction."];
    let overrides = ["producer.override.", "consumer.override.", "admin.override."];
    let exact = ["topics", "topics.regex", "connector.class", "exactly.once.support"];
    exact.contains(&key)
        || is_converter_key(key)
        || prefixes.iter().chain(&overrides).any(|prefix| key.starts_with(prefix))
}

fn is_converter_key(key: &str) -> bool {
    ["key.converter", "value.converter", "header.converter"]
        .iter()
        .any(|name| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn class_of(raw: &RawConfig) -> Result<String, ValidateError> {
    match raw.get("connector.class").and_then(Option::as_deref).map(str::trim) {
        Some(class) if !class.is_empty() => Ok(class.to_owned()),
        _ => {
            let keys: Vec<String> = raw.keys().map(|key| format!("{key}=...")).collect();
            Err(ValidateError::NoClass(keys.join(", ")))
        }
    }
}

fn unknown_class(registry: &Registry, class: &str) -> ValidateError {
    let available: Vec<&str> = registry.plugins().iter().map(|plugin| plugin.info.class.as_str()).collect();
    ValidateError::UnknownClass { class: class.to_owned(), available: available.join(", ") }
}

fn warnings(base: &ConfigDef, own: &ConfigDef, config: &Config) -> Vec<String> {
    let all = own.clone().merged(base.clone());
    let elsewhere = |key: &str| base.key(key).is_some() || is_worker_key(key) || key.starts_with("config.");
    all.unknown_keys(config, elsewhere).iter().map(ToString::to_string).collect()
}
