//! Checks connector configurations without running a node: for `levada doctor`.

use super::{NodeError, plugins, worker};
use crate::{
    config::Settings,
    connect::{
        config_provider::Providers,
        plugin::Registry,
        validate::{self, Policy, RawConfig},
    },
};
use levada_env::Env;
use serde_json::Value as Json;

/// What a node of these settings would say of a configuration.
pub struct Doctor {
    registry: Registry,
    providers: Providers,
    policy: Policy,
}

impl Doctor {
    /// With the plugins and config providers of the settings.
    pub async fn open(env: &Env, settings: &Settings) -> Result<Self, NodeError> {
        let registry = plugins::registry(env, settings).await?;
        let providers = worker::providers(env, settings)?;
        let policy = worker::options(settings, String::new(), providers.clone()).policy;
        Ok(Self { registry, providers, policy })
    }

    /// Everything that is found, as `/v1/connectors/{connector}/findings` has it. It asks the outside world, and is no
    /// call for a runtime's thread.
    pub fn examine(&self, config: &RawConfig) -> Result<Json, NodeError> {
        let checked =
            validate::validate(&self.registry, &worker::ConverterCatalog, &self.policy, &self.providers, config);
        let validation = checked.map_err(|error| NodeError::Config(error.to_string()))?;
        let advice = match validation.error_count() {
            0 => validate::advice(&validation.plugin, &self.providers, config),
            _ => Vec::new(),
        };
        Ok(validation.findings(&advice))
    }
}
