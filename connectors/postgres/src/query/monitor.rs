//! Watches for tables that appear or go, and asks the runtime to divide the work anew.

use super::{config::Settings, tables};
use crate::{catalog::TableId, error::Result};
use levada_connector_api::ConnectorContext;
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::watch;

/// Longest time that one look at the server takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tables of the last division.
pub type Known = Arc<Mutex<Option<Vec<TableId>>>>;

/// The watching thread.
#[derive(Debug)]
pub struct Monitor {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts it.
    pub fn start(context: ConnectorContext, settings: Settings, known: Known) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let name = format!("tables-{}", context.name);
        let thread = thread::Builder::new().name(name).spawn(move || run(&context, &settings, &known, stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(context: &ConnectorContext, settings: &Settings, known: &Known, mut stopped: watch::Receiver<bool>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(connector = context.name, %error, "tables are not watched"),
    };
    runtime.block_on(async {
        let watching = async {
            loop {
                tokio::time::sleep(settings.table_poll_interval).await;
                look(context, settings, known).await;
            }
        };
        tokio::select! {
            () = watching => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
}

async fn look(context: &ConnectorContext, settings: &Settings, known: &Known) {
    match tokio::time::timeout(PATIENCE, now(settings)).await {
        Ok(Ok(tables)) => {
            let changed = known.lock().unwrap_or_else(PoisonError::into_inner).as_ref() != Some(&tables);
            if changed {
                context.request_task_reconfiguration();
            }
        }
        // The tasks tell of a server that is away; here the next look will do.
        Ok(Err(error)) => tracing::debug!(connector = context.name, %error, "tables could not be listed"),
        Err(_) => tracing::debug!(connector = context.name, "tables could not be listed in time"),
    }
}

/// The tables that there are now.
pub async fn now(settings: &Settings) -> Result<Vec<TableId>> {
    let sql = tables::connect(settings).await?;
    tables::list(&sql, settings).await
}
