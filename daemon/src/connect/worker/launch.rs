//! The worker that runs real plugins.

use super::{
    ConverterDefaults, Failure, PluginCalls, RunningConnector, RunningTask, TaskLaunch, Worker, WorkerOptions,
    connector::{Instance, PluginConnector, Stored},
};
use crate::connect::{
    bus::{self, BoxFuture, OwnerToken},
    config_provider::Resolved,
    converter::{self, Converter, HeaderConverter},
    plugin::Plugin,
    sink_task::{SinkTaskOptions, SinkTaskSpec},
    source_task::{self, SourceTaskOptions, SourceTaskSpec},
    store::OffsetStore,
    task::{SignalError, StartError, TaskHandle, TaskHealth, TaskMetrics, TaskRuntime},
    transform,
};
use crate::telemetry::secrets;
use levada_connector_api::{
    Config, ConnectorContext, ConnectorError, OffsetChange, Progress, SinkTask, SourceOffset, SourcePartition,
    SourceTask, TaskSignal,
};
use levada_env::time::Duration;
use std::sync::Arc;

/// Runs connectors and tasks of the registry's plugins.
pub struct ConnectWorker {
    options: WorkerOptions,
    runtime: TaskRuntime,
    offsets: Arc<OffsetStore>,
    calls: PluginCalls,
}

/// A new task of either kind.
enum NewTask {
    Source(Box<dyn SourceTask>),
    Sink(Box<dyn SinkTask>),
}

impl ConnectWorker {
    /// With the runtime that tasks get and the store of source offsets.
    pub fn new(options: WorkerOptions, runtime: TaskRuntime, offsets: Arc<OffsetStore>) -> Self {
        let calls = PluginCalls::new(Arc::clone(&runtime.abandoned), options.call_timeout);
        Self { options, runtime, offsets, calls }
    }

    /// A configuration as a plugin may see it.
    async fn resolve(&self, config: Config) -> Result<Resolved, Failure> {
        if self.options.providers.is_empty() {
            return Ok(Resolved::plain(config));
        }
        let providers = self.options.providers.clone();
        let resolve = move || providers.resolve(&config).map_err(|error| ConnectorError::config(error.to_string()));
        self.calls.call("resolve", resolve).await
    }

    async fn launch(&self, mut launch: TaskLaunch) -> Result<Arc<dyn RunningTask>, Failure> {
        launch.connector = self.resolve(launch.connector).await?.config;
        launch.config = self.resolve(launch.config).await?.config;
        let factory = launch.plugin.factory.clone();
        let make = move || {
            Ok(match Instance::make(&factory)? {
                Instance::Source(connector) => NewTask::Source(connector.task()),
                Instance::Sink(connector) => NewTask::Sink(connector.task()),
            })
        };
        let handle = match self.calls.call("task", make).await? {
            NewTask::Source(task) => self.source(task, &launch)?,
            NewTask::Sink(task) => self.sink(task, &launch)?,
        };
        Ok(Arc::new(handle))
    }

    fn source(&self, task: Box<dyn SourceTask>, launch: &TaskLaunch) -> Result<TaskHandle, Failure> {
        let client = format!("connector-producer-{}", launch.id);
        let creation = self.options.policy.topic_creation;
        let options = SourceTaskOptions::from_config(&launch.connector, self.options.times, creation, client)
            .map_err(config_failure)?;
        warn_ignored(launch, &options.ignored);
        let spec = SourceTaskSpec {
            id: launch.id.clone(),
            config: launch.config.clone(),
            options,
            key_converter: Self::converter(launch, "key.converter", &self.options.key_converter)?,
            value_converter: Self::converter(launch, "value.converter", &self.options.value_converter)?,
            header_converter: self.header_converter(launch)?,
            transforms: chain(launch)?,
            offsets: Arc::new(Offsets(Arc::clone(&self.offsets))),
        };
        spec.spawn(self.runtime.clone(), task, launch.target).map_err(start_failure)
    }

    fn sink(&self, task: Box<dyn SinkTask>, launch: &TaskLaunch) -> Result<TaskHandle, Failure> {
        let client = format!("connector-consumer-{}", launch.id);
        let name = &launch.id.connector;
        let options = SinkTaskOptions::from_config(name, &launch.connector, self.options.times, client)
            .map_err(config_failure)?;
        warn_ignored(launch, &options.ignored);
        let spec = SinkTaskSpec {
            id: launch.id.clone(),
            config: launch.config.clone(),
            options,
            key_converter: Self::converter(launch, "key.converter", &self.options.key_converter)?,
            value_converter: Self::converter(launch, "value.converter", &self.options.value_converter)?,
            header_converter: self.header_converter(launch)?,
            transforms: chain(launch)?,
        };
        spec.spawn(self.runtime.clone(), task, launch.target).map_err(start_failure)
    }

    fn converter(launch: &TaskLaunch, key: &str, default: &ConverterDefaults) -> Result<Arc<dyn Converter>, Failure> {
        let (class, config) = converter_of(&launch.connector, key, default);
        converter::create(&class, key == "key.converter", &config).map_err(|error| config_failure(error.to_string()))
    }

    fn header_converter(&self, launch: &TaskLaunch) -> Result<Arc<dyn HeaderConverter>, Failure> {
        let (class, config) = converter_of(&launch.connector, "header.converter", &self.options.header_converter);
        converter::create_header(&class, &config).map_err(|error| config_failure(error.to_string()))
    }
}

impl Worker for ConnectWorker {
    fn calls(&self) -> &PluginCalls {
        &self.calls
    }

    fn start_connector(
        &self,
        context: ConnectorContext,
        plugin: Arc<Plugin>,
        config: Config,
    ) -> BoxFuture<'_, Result<Box<dyn RunningConnector>, Failure>> {
        Box::pin(async move {
            let resolved = self.resolve(config.clone()).await?;
            let stored = Stored { config, resolved };
            let started = PluginConnector::start(context, plugin, stored, self.calls.clone()).await?;
            Ok(Box::new(started) as Box<dyn RunningConnector>)
        })
    }

    fn start_task(&self, launch: TaskLaunch) -> BoxFuture<'_, Result<Arc<dyn RunningTask>, Failure>> {
        Box::pin(async move {
            let launched = self.launch(launch).await;
            launched.map_err(|failure| Failure { trace: secrets::masked(&failure.trace).into_owned() })
        })
    }

    fn has_values_elsewhere(&self, config: &Config) -> bool {
        config.values().any(|text| self.options.providers.has_placeholder(text))
    }

    fn alter_offsets(
        &self,
        plugin: Arc<Plugin>,
        config: Config,
        changes: Vec<OffsetChange>,
    ) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async move {
            let config = self.resolve(config).await?.config;
            let ask = move || match Instance::make(&plugin.factory)? {
                Instance::Source(connector) => connector.alter_offsets(&config, &changes),
                Instance::Sink(connector) => connector.alter_offsets(&config, &changes),
            };
            self.calls.call("alter_offsets", ask).await
        })
    }
}

/// The converter a connector asks for, or the worker's. A converter of the connector's own takes none of the worker's
/// settings.
fn converter_of(config: &Config, key: &str, default: &ConverterDefaults) -> (String, Config) {
    let Some(class) = config.get(key).map(|class| class.trim()).filter(|class| !class.is_empty()) else {
        return (default.class.clone(), default.config.clone());
    };
    let prefix = format!("{key}.");
    let own = config.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
    (class.to_owned(), own.collect())
}

/// The connector's transforms, made anew for each task.
fn chain<R: transform::Chained>(launch: &TaskLaunch) -> Result<Vec<Box<dyn transform::Transform<R>>>, Failure> {
    transform::chain(&launch.connector).map_err(|error| config_failure(error.message))
}

fn config_failure(message: String) -> Failure {
    Failure { trace: format!("org.apache.kafka.common.config.ConfigException: {message}") }
}

fn start_failure(error: StartError) -> Failure {
    Failure::connect(error.to_string())
}

fn warn_ignored(launch: &TaskLaunch, ignored: &[String]) {
    if !ignored.is_empty() && launch.id.task == 0 {
        let keys = ignored.join(", ");
        tracing::warn!(connector = %launch.id.connector, keys, "client settings that have no effect here");
    }
}

/// The store as source tasks see it.
struct Offsets(Arc<OffsetStore>);

impl source_task::OffsetStore for Offsets {
    fn read<'a>(
        &'a self,
        connector: &'a str,
        partitions: &'a [SourcePartition],
    ) -> BoxFuture<'a, bus::Result<Vec<Option<SourceOffset>>>> {
        Box::pin(self.0.get(connector, partitions))
    }

    fn write<'a>(
        &'a self,
        connector: &'a str,
        offsets: &'a [(Arc<SourcePartition>, SourceOffset)],
        owner: &'a OwnerToken,
    ) -> BoxFuture<'a, bus::Result<()>> {
        Box::pin(async move {
            let offsets: Vec<_> =
                offsets.iter().map(|(partition, offset)| ((**partition).clone(), Some(offset.clone()))).collect();
            self.0.put(connector, &offsets, Some(owner)).await
        })
    }
}

impl RunningTask for TaskHandle {
    fn resume(&self) {
        Self::resume(self);
    }

    fn pause(&self) {
        Self::pause(self);
    }

    fn request_stop(&self) {
        Self::request_stop(self);
    }

    fn stop(&self, graceful: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            Self::stop(self, graceful).await;
        })
    }

    fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        Some(Arc::clone(Self::metrics(self)))
    }

    fn health(&self) -> TaskHealth {
        Self::health(self)
    }

    fn progress(&self) -> Option<(i64, Progress)> {
        Self::progress(self)
    }

    fn signal(&self, signal: TaskSignal) -> Result<(), SignalError> {
        Self::signal(self, signal)
    }
}
