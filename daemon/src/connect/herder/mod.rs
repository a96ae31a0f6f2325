//! The herder: what connectors there are, what they shall do, and that they do it.
//!
//! [`Herder::start`] makes an actor that owns everything and a cheap-clone [`HerderHandle`] to ask it. Reads come from a
//! shared [`View`] and never wait for the actor; changes go through its queue.

mod actor;
mod command;
mod error;
mod events;
mod handle;
mod model;
mod offsets;
mod operation;
mod progress;
mod reports;
mod restarts;
mod settle;
mod slot;
#[cfg(test)]
mod tests;
mod view;

pub use error::HerderError;
pub use events::{Event, EventLog};
pub use handle::HerderHandle;
pub use model::{ConnectorDescription, ConnectorStatus, Offsets, RestartRequest};
pub use reports::TaskReports;
pub use view::View;

use super::{
    bus::Bus,
    plugin::Registry,
    store::{ConfigState, ConfigStore, InternalTopic, OffsetStore, StatusStore},
    validate::Converters,
    worker::{Worker, WorkerOptions},
};
use levada_env::Clock;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{mpsc, watch};

/// Requests that may wait for the herder.
const QUEUE: usize = 256;

/// What a herder is made of. [`Herder::prepare`] makes what a worker needs before there is one.
pub struct Herder {
    options: WorkerOptions,
    bus: Arc<dyn Bus>,
    registry: Arc<Registry>,
    converters: Arc<dyn Converters>,
    clock: Arc<dyn Clock>,
    statuses: Arc<StatusStore>,
    reports: Arc<TaskReports>,
    offsets: Arc<OffsetStore>,
}

impl Herder {
    /// Makes the stores and the listener of task reports.
    pub fn prepare(
        options: WorkerOptions,
        bus: Arc<dyn Bus>,
        registry: Arc<Registry>,
        converters: Arc<dyn Converters>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let topic = |spec: &super::store::TopicSpec| InternalTopic::new(Arc::clone(&bus), spec.clone());
        let statuses = StatusStore::new(topic(&options.status_topic), options.worker_id.clone());
        let offsets = Arc::new(OffsetStore::new(topic(&options.offset_topic)));
        let reports = TaskReports::new(Arc::clone(&statuses), Arc::clone(&clock), options.topic_tracking);
        Self { options, bus, registry, converters, clock, statuses, reports, offsets }
    }

    /// The listener that task runners report to.
    pub fn reports(&self) -> Arc<TaskReports> {
        Arc::clone(&self.reports)
    }

    /// The store of source offsets.
    pub fn offsets(&self) -> Arc<OffsetStore> {
        Arc::clone(&self.offsets)
    }

    /// Starts the herder on the current runtime. It ends with [`HerderHandle::shutdown`].
    pub fn start(self, worker: Arc<dyn Worker>) -> HerderHandle {
        let config = Arc::new(RwLock::new(ConfigState::default()));
        let topic = InternalTopic::new(Arc::clone(&self.bus), self.options.config_topic.clone());
        let view = Arc::new(View {
            config: Arc::clone(&config),
            statuses: Arc::clone(&self.statuses),
            registry: self.registry,
            events: EventLog::new(self.clock),
            tasks: RwLock::default(),
            ready: watch::Sender::new(false),
            operations: RwLock::default(),
        });
        let (commands, queue) = mpsc::channel(QUEUE);
        let actor = actor::Actor {
            options: self.options.clone(),
            worker: Arc::clone(&worker),
            store: ConfigStore::new(topic, config),
            view: Arc::clone(&view),
            reports: self.reports,
            commands: queue,
            done: mpsc::channel(QUEUE),
            slots: BTreeMap::new(),
            waiters: BTreeMap::new(),
            restarts: restarts::Restarts::default(),
        };
        let writer = tokio::spawn(Arc::clone(&self.statuses).run_writer());
        tokio::spawn(async move {
            actor.run().await;
            writer.abort();
        });
        HerderHandle::new(commands, view, worker, self.bus, self.offsets, self.converters, self.options)
    }
}
