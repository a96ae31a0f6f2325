//! A log in memory and a worker without threads, for tests of the herder and of REST.

mod bus;
mod worker;

pub use bus::MemoryBus;
pub use worker::{FakeWorker, MOST_HANGING, registry};

use super::{
    herder::{Herder, HerderHandle},
    validate::Converters,
    worker::{RestartPolicy, WorkerOptions},
};
use levada_connector_api::ConfigDef;
use levada_env::{RealClock, time::Duration};
use std::sync::Arc;

/// Knows `StringConverter` and `JsonConverter`.
pub struct FakeConverters;

impl Converters for FakeConverters {
    fn converter(&self, class: &str) -> Option<ConfigDef> {
        ["StringConverter", "JsonConverter"].iter().any(|known| class.ends_with(known)).then(ConfigDef::default)
    }

    fn list(&self) -> Vec<(String, &'static str)> {
        vec![("test.StringConverter".to_owned(), "converter")]
    }

    fn header_converter(&self, class: &str) -> Option<ConfigDef> {
        self.converter(class)
    }
}

/// Options without automatic restarts.
pub fn options() -> WorkerOptions {
    WorkerOptions {
        restart: RestartPolicy::Never,
        graceful_timeout: Duration::from_secs(1),
        ..WorkerOptions::default()
    }
}

/// A herder over `bus` with a fake worker. A second one over the same bus is what a restart would be.
pub async fn herder_with(bus: &Arc<MemoryBus>, options: WorkerOptions) -> (HerderHandle, Arc<FakeWorker>) {
    let bus: Arc<dyn super::bus::Bus> = bus.clone();
    let call_timeout = options.call_timeout;
    let herder = Herder::prepare(options, bus, Arc::new(registry()), Arc::new(FakeConverters), Arc::new(RealClock));
    let worker = Arc::new(FakeWorker::new(herder.reports(), call_timeout));
    let handle = herder.start(Arc::clone(&worker) as Arc<dyn super::worker::Worker>);
    eventually(|| handle.view().is_ready()).await;
    (handle, worker)
}

/// Waits until `condition` holds; the test's own limit ends a wait for what never comes.
pub async fn eventually(mut condition: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        levada_env::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the condition never came true");
}
