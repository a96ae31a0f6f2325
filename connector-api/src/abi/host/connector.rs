//! A connector of a library behind [`SourceConnector`] or [`SinkConnector`].

use super::{
    call::{Instance, call, missing},
    context,
    sink_task::HostSinkTask,
    source_task::HostSourceTask,
};
use crate::{
    Config, ConnectorContext, ConnectorError, ConnectorInfo, ExactlyOnceSupport, OffsetChange, Result, SinkConnector,
    SinkTask, SinkTaskContext, SourceBatch, SourceConnector, SourceTask, SourceTaskContext, TopicPartition,
    abi::{
        json,
        layout::{Connector, Handle, Slice},
    },
};
use std::{
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// One instance. Calls to it come one at a time, as the table asks.
pub struct HostConnector {
    table: &'static Connector,
    instance: Mutex<Instance>,
    info: ConnectorInfo,
}

impl HostConnector {
    /// A new instance.
    pub fn create(table: &'static Connector, info: ConnectorInfo) -> Result<Self> {
        let create = table.create.ok_or_else(|| missing("create"))?;
        let mut handle: Handle = ptr::null_mut();
        // SAFETY: the places go to the table's call.
        unsafe { call(|out| create(&raw mut handle, out)) }?;
        if handle.is_null() {
            return Err(ConnectorError::fatal(format!("the library of {} made no instance", info.class)));
        }
        Ok(Self { table, instance: Mutex::new(Instance(handle)), info })
    }

    fn instance(&self) -> MutexGuard<'_, Instance> {
        // Nothing panics while it is held: calls into a library don't unwind.
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, context: &ConnectorContext, config: &Config) -> Result<()> {
        let config = json::bytes(&json::of_config(config));
        let instance = self.instance();
        if let Some(start_in) = self.table.start_in.filter(|_| context.can_request_task_reconfiguration()) {
            let (name, offered) = (Slice::of(context.name.as_bytes()), context::connector(context.clone()));
            // SAFETY: the instance is of this table, the arguments outlive the call, the context is the connector's now.
            return unsafe { call(|out| start_in(instance.0, offered, name, Slice::of(&config), out)) }.map(drop);
        }
        let start = self.table.start.ok_or_else(|| missing("start"))?;
        // SAFETY: the instance is of this table, and the arguments outlive the call.
        unsafe { call(|out| start(instance.0, Slice::of(context.name.as_bytes()), Slice::of(&config), out)) }.map(drop)
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        let task_configs = self.table.task_configs.ok_or_else(|| missing("task_configs"))?;
        let max_tasks = u32::try_from(max_tasks).unwrap_or(u32::MAX);
        let instance = self.instance();
        // SAFETY: the instance is of this table.
        let answer = unsafe { call(|out| task_configs(instance.0, max_tasks, out)) }?;
        json::to_configs(json::parse(answer.as_ref(), "task configurations")?)
    }

    fn create_task(&self) -> Result<Instance> {
        let create_task = self.table.create_task.ok_or_else(|| missing("create_task"))?;
        let mut task: Handle = ptr::null_mut();
        let instance = self.instance();
        // SAFETY: the instance is of this table, and the places go to its call.
        unsafe { call(|out| create_task(instance.0, &raw mut task, out)) }?;
        if task.is_null() {
            return Err(ConnectorError::fatal(format!("the library of {} made no task", self.info.class)));
        }
        Ok(Instance(task))
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<Option<bool>> {
        let Some(alter_offsets) = self.table.alter_offsets else { return Ok(None) };
        let config = json::bytes(&json::of_config(config));
        let changes = changes.iter().map(|(partition, offset)| (partition, offset.as_ref()));
        let changes = json::bytes(&json::of_offsets(changes));
        let mut vouched = 0;
        let instance = self.instance();
        // SAFETY: the instance is of this table, the arguments outlive the call and the places go to it.
        unsafe {
            call(|out| alter_offsets(instance.0, Slice::of(&config), Slice::of(&changes), &raw mut vouched, out))
        }?;
        Ok(Some(vouched != 0))
    }

    fn exactly_once(&self, config: &Config) -> Result<bool> {
        let Some(exactly_once) = self.table.exactly_once else { return Ok(false) };
        let config = json::bytes(&json::of_config(config));
        let mut supported = 0;
        let instance = self.instance();
        // SAFETY: the instance is of this table, the arguments outlive the call and the places go to it.
        unsafe { call(|out| exactly_once(instance.0, Slice::of(&config), &raw mut supported, out)) }?;
        Ok(supported != 0)
    }

    fn stop(&self) {
        let Some(stop) = self.table.stop else { return };
        let instance = self.instance();
        // SAFETY: the instance is of this table.
        if let Err(error) = unsafe { call(|out| stop(instance.0, out)) } {
            tracing::warn!(class = self.info.class, %error, "connector did not stop in order");
        }
    }
}

impl Drop for HostConnector {
    fn drop(&mut self) {
        if let Some(release) = self.table.release {
            // SAFETY: the instance is of this table, and this is its last call.
            unsafe { release(self.instance().0) }
        }
    }
}

impl SourceConnector for HostConnector {
    fn info(&self) -> ConnectorInfo {
        self.info.clone()
    }

    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
        Self::start(self, &context, &config)
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        Self::task_configs(self, max_tasks)
    }

    fn task(&self) -> Box<dyn SourceTask> {
        // SAFETY: null, or a table for ever, by contract of the entry.
        match (unsafe { self.table.source_task.as_ref() }, self.create_task()) {
            (Some(table), Ok(instance)) => Box::new(HostSourceTask::new(table, instance)),
            (None, _) => Box::new(NoTask(Some(missing("source_task")))),
            (_, Err(error)) => Box::new(NoTask(Some(error))),
        }
    }

    fn exactly_once_support(&self, config: &Config) -> ExactlyOnceSupport {
        match self.exactly_once(config) {
            Ok(true) => ExactlyOnceSupport::Supported,
            Ok(false) => ExactlyOnceSupport::Unsupported,
            Err(error) => {
                tracing::warn!(class = self.info.class, %error, "connector could not tell whether exactly-once works");
                ExactlyOnceSupport::Unsupported
            }
        }
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        Ok(Self::alter_offsets(self, config, changes)?.unwrap_or(false))
    }

    fn stop(&mut self) {
        Self::stop(self);
    }
}

impl SinkConnector for HostConnector {
    fn info(&self) -> ConnectorInfo {
        self.info.clone()
    }

    fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
        Self::start(self, &context, &config)
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
        Self::task_configs(self, max_tasks)
    }

    fn task(&self) -> Box<dyn SinkTask> {
        // SAFETY: null, or a table for ever, by contract of the entry.
        match (unsafe { self.table.sink_task.as_ref() }, self.create_task()) {
            (Some(table), Ok(instance)) => Box::new(HostSinkTask::new(table, instance)),
            (None, _) => Box::new(NoTask(Some(missing("sink_task")))),
            (_, Err(error)) => Box::new(NoTask(Some(error))),
        }
    }

    fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
        Ok(Self::alter_offsets(self, config, changes)?.unwrap_or(true))
    }

    fn stop(&mut self) {
        Self::stop(self);
    }
}

/// Stands for a task that the library could not make: the traits have no error there, so `start` tells it.
struct NoTask(Option<ConnectorError>);

impl NoTask {
    fn error(&mut self) -> ConnectorError {
        self.0.take().unwrap_or_else(|| ConnectorError::fatal("the task was never made"))
    }
}

impl SourceTask for NoTask {
    fn start(&mut self, _context: Arc<dyn SourceTaskContext>, _config: Config) -> Result<()> {
        Err(self.error())
    }

    fn poll(&mut self, _max_wait: Duration) -> Result<SourceBatch> {
        Err(self.error())
    }
}

impl SinkTask for NoTask {
    fn start(&mut self, _context: Arc<dyn SinkTaskContext>, _config: Config) -> Result<()> {
        Err(self.error())
    }

    fn put(&mut self, _records: &[crate::SinkRecord]) -> Result<()> {
        Err(self.error())
    }

    fn pre_commit(&mut self, _consumed: &[(TopicPartition, i64)]) -> Result<Vec<(TopicPartition, i64, String)>> {
        Err(self.error())
    }
}
