//! A started connector of a plugin.

use super::{Failure, PluginCalls, RunningConnector};
use crate::connect::{
    bus::BoxFuture,
    config_provider::Resolved,
    plugin::{Factory, Plugin},
};
use levada_connector_api::{Config, ConnectorContext, Result, SinkConnector, SourceConnector};
use parking_lot::Mutex;
use std::sync::Arc;

/// A source or a sink.
pub(super) enum Instance {
    Source(Box<dyn SourceConnector>),
    Sink(Box<dyn SinkConnector>),
}

impl Instance {
    /// Makes one, not started.
    pub(super) fn make(factory: &Factory) -> Result<Self> {
        match factory {
            Factory::Source(make) => make().map(Self::Source),
            Factory::Sink(make) => make().map(Self::Sink),
        }
    }

    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
        match self {
            Self::Source(connector) => connector.start(context, config),
            Self::Sink(connector) => connector.start(context, config),
        }
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        match self {
            Self::Source(connector) => connector.task_configs(max_tasks),
            Self::Sink(connector) => connector.task_configs(max_tasks),
        }
    }

    fn stop(&mut self) {
        match self {
            Self::Source(connector) => connector.stop(),
            Self::Sink(connector) => connector.stop(),
        }
    }
}

/// A connector's configuration as it is stored and as the connector sees it.
pub(super) struct Stored {
    pub(super) config: Config,
    pub(super) resolved: Resolved,
}

/// A connector that was started. Calls go to it one at a time.
pub(super) struct PluginConnector {
    stored: Stored,
    instance: Arc<Mutex<Instance>>,
    plugin: Arc<Plugin>,
    calls: PluginCalls,
}

impl PluginConnector {
    /// Makes and starts one.
    pub(super) async fn start(
        context: ConnectorContext,
        plugin: Arc<Plugin>,
        stored: Stored,
        calls: PluginCalls,
    ) -> Result<Self, Failure> {
        let (factory, config) = (plugin.factory.clone(), stored.resolved.config.clone());
        let start = move || {
            let mut instance = Instance::make(&factory)?;
            if let Err(error) = instance.start(context, config) {
                instance.stop();
                return Err(error);
            }
            Ok(instance)
        };
        let instance = calls.call("start", start).await?;
        Ok(Self { stored, instance: Arc::new(Mutex::new(instance)), plugin, calls })
    }
}

impl RunningConnector for PluginConnector {
    fn version(&self) -> String {
        self.plugin.info.version.clone()
    }

    fn task_class(&self) -> String {
        self.plugin.task_class()
    }

    fn task_configs(&self, max_tasks: usize) -> BoxFuture<'_, Result<Vec<Config>, Failure>> {
        let instance = Arc::clone(&self.instance);
        Box::pin(async move {
            let configs = self.calls.call("task_configs", move || instance.lock().task_configs(max_tasks)).await?;
            // Task configurations are stored and shown, so they hold placeholders again.
            let back = |config| self.stored.resolved.unresolve(&self.stored.config, config);
            Ok(configs.into_iter().map(back).collect())
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let instance = Arc::clone(&self.instance);
            let stop = move || {
                instance.lock().stop();
                Ok(())
            };
            if let Err(failure) = self.calls.call("stop", stop).await {
                tracing::warn!(
                    class = self.plugin.info.class,
                    cause = failure.trace,
                    "connector did not stop in order"
                );
            }
        })
    }
}
