//! The way to the herder.

use super::{
    command::{Command, Reply},
    error::HerderError,
    model::{ConnectorDescription, ConnectorStatus, RestartRequest},
    view::View,
};
use crate::connect::{
    bus::Bus,
    store::{OffsetStore, TargetState},
    validate::{self, Converters, RawConfig, Validation},
    worker::{Worker, WorkerOptions},
};
use levada_connector_api::Config;
use serde_json::Value as Json;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Tries of a change that reads, checks and writes.
const PATCH_TRIES: usize = 5;

/// Asks the herder. Cheap to clone.
#[derive(Clone)]
pub struct HerderHandle {
    commands: mpsc::Sender<Command>,
    view: Arc<View>,
    pub(super) worker: Arc<dyn Worker>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) offset_store: Arc<OffsetStore>,
    converters: Arc<dyn Converters>,
    options: Arc<WorkerOptions>,
}

impl HerderHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        view: Arc<View>,
        worker: Arc<dyn Worker>,
        bus: Arc<dyn Bus>,
        offset_store: Arc<OffsetStore>,
        converters: Arc<dyn Converters>,
        options: WorkerOptions,
    ) -> Self {
        Self { commands, view, worker, bus, offset_store, converters, options: Arc::new(options) }
    }

    /// What can be read without waiting.
    pub fn view(&self) -> &View {
        &self.view
    }

    pub(super) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, HerderError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| HerderError::Stopped)?;
        answer.await.map_err(|_| HerderError::Stopped)?
    }

    /// Checks a configuration without using it.
    pub async fn validate(&self, config: &RawConfig) -> Result<Validation, HerderError> {
        let view = Arc::clone(&self.view);
        let converters = Arc::clone(&self.converters);
        let (policy, providers) = (self.options.policy.clone(), self.options.providers.clone());
        let raw = config.clone();
        // Definitions hold functions of the plugin's, so this may hang (invariant 10).
        let check = move || Ok(validate::validate(&view.registry, &*converters, &policy, &providers, &raw));
        let checked = self.worker.calls().call("validate", check).await;
        Ok(checked.map_err(|failure| HerderError::Plugin(failure.text().to_owned()))??)
    }

    /// Everything that validation finds, and what is no error but may be unintended.
    pub async fn findings(&self, config: &RawConfig) -> Result<Json, HerderError> {
        let validation = self.validate(config).await?;
        if validation.error_count() > 0 {
            return Ok(validation.findings(&[]));
        }
        let (plugin, providers, raw) = (Arc::clone(&validation.plugin), self.options.providers.clone(), config.clone());
        let advise = move || Ok(validate::advice(&plugin, &providers, &raw));
        let advice = self.worker.calls().call("validate", advise).await;
        let advice = advice.map_err(|failure| HerderError::Plugin(failure.text().to_owned()))?;
        Ok(validation.findings(&advice))
    }

    async fn checked(&self, name: &str, raw: &RawConfig) -> Result<Config, HerderError> {
        let validation = self.validate(raw).await?;
        if let Some(refusal) = validation.refusal() {
            return Err(HerderError::BadRequest(refusal));
        }
        for warning in &validation.warnings {
            tracing::warn!(connector = name, "{warning}");
            self.view.events.add(name, "warning", None, warning.clone());
        }
        Ok(raw.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect())
    }

    /// Makes a connector.
    pub async fn create(
        &self,
        name: &str,
        config: &RawConfig,
        target: Option<TargetState>,
    ) -> Result<ConnectorDescription, HerderError> {
        let config = self.checked(name, config).await?;
        let put =
            |reply| Command::Put { name: name.to_owned(), config, target, create_only: true, expected: None, reply };
        self.ask(put).await?;
        self.describe(name)
    }

    /// Makes a connector or replaces its configuration; true when it is new.
    pub async fn put_config(
        &self,
        name: &str,
        config: &RawConfig,
    ) -> Result<(bool, ConnectorDescription), HerderError> {
        let config = self.checked(name, config).await?;
        let put = |reply| Command::Put {
            name: name.to_owned(),
            config,
            target: None,
            create_only: false,
            expected: None,
            reply,
        };
        let created = self.ask(put).await?;
        Ok((created, self.describe(name)?))
    }

    /// Changes some keys of a configuration; null removes one.
    pub async fn patch_config(&self, name: &str, patch: &RawConfig) -> Result<ConnectorDescription, HerderError> {
        for _ in 0..PATCH_TRIES {
            let known = self.view.config_of(name)?;
            let merged = merge(&known, patch);
            let config = self.checked(name, &merged).await?;
            let put = |reply| Command::Put {
                name: name.to_owned(),
                config,
                target: None,
                create_only: false,
                expected: Some(known),
                reply,
            };
            match self.ask(put).await {
                Err(HerderError::Conflict) => {}
                Err(error) => return Err(error),
                Ok(_) => return self.describe(name),
            }
        }
        Err(HerderError::Conflict)
    }

    fn describe(&self, name: &str) -> Result<ConnectorDescription, HerderError> {
        self.view.describe(name).ok_or_else(|| HerderError::connector_not_found(name))
    }

    /// Removes a connector; its offsets stay.
    pub async fn delete(&self, name: &str) -> Result<(), HerderError> {
        self.ask(|reply| Command::Delete { name: name.to_owned(), reply }).await
    }

    /// Pauses a connector.
    pub async fn pause(&self, name: &str) -> Result<(), HerderError> {
        self.ask(|reply| Command::SetTarget { name: name.to_owned(), target: TargetState::Paused, reply }).await
    }

    /// Resumes a paused or stopped connector.
    pub async fn resume(&self, name: &str) -> Result<(), HerderError> {
        self.ask(|reply| Command::SetTarget { name: name.to_owned(), target: TargetState::Started, reply }).await
    }

    /// Stops a connector.
    pub async fn stop(&self, name: &str) -> Result<(), HerderError> {
        self.ask(|reply| Command::Stop { name: name.to_owned(), reply }).await
    }

    /// Restarts a connector, not its tasks; an error when it does not start.
    pub async fn restart_connector(&self, name: &str) -> Result<(), HerderError> {
        self.ask(|reply| Command::RestartConnector { name: name.to_owned(), reply }).await
    }

    /// Restarts what the request covers; the plan comes back before it is done.
    pub async fn restart(&self, name: &str, request: RestartRequest) -> Result<ConnectorStatus, HerderError> {
        self.ask(|reply| Command::Restart { name: name.to_owned(), request, reply }).await
    }

    /// Restarts one task.
    pub async fn restart_task(&self, name: &str, task: usize) -> Result<(), HerderError> {
        self.ask(|reply| Command::RestartTask { name: name.to_owned(), task, reply }).await
    }

    /// Forgets which topics a connector has used.
    pub async fn reset_topics(&self, name: &str) -> Result<(), HerderError> {
        self.ask(|reply| Command::ResetTopics { name: name.to_owned(), reply }).await
    }

    /// Whether the herder answers.
    pub async fn ping(&self) -> Result<(), HerderError> {
        self.ask(|reply| Command::Ping { reply }).await
    }

    /// Stops all tasks in order, with their offsets committed, and ends the herder.
    pub async fn shutdown(&self) {
        if let Err(error) = self.ask(|reply| Command::Shutdown { reply }).await {
            tracing::debug!(%error, "herder was down already");
        }
    }
}

/// A configuration with a patch applied, as KIP-477 says.
fn merge(known: &Config, patch: &RawConfig) -> RawConfig {
    let mut merged: RawConfig = known.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    for (key, value) in patch {
        match value {
            Some(value) => drop(merged.insert(key.clone(), Some(value.clone()))),
            None => drop(merged.shift_remove(key)),
        }
    }
    merged
}
