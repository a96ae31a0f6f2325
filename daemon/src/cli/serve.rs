//! `levada serve`: configuration, log, runtime, node, signals.

use super::{
    CliError,
    args::{Output, ServeArgs},
    config,
};
use crate::{
    config::{Settings, Table},
    node::{Node, NodeError},
    telemetry::{LogControl, LogFormat, log},
};
use levada_env::{Env, Instant, memory, signal::StopSignal, time};
use std::{cell::Cell, time::Duration};

/// Time between two looks of a runtime thread at the memory it has freed.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: &ServeArgs) -> Result<(), CliError> {
    let settings = config::settings(&arguments.inputs)?;
    if arguments.print_config {
        return config::print(&settings, Output::Table, false);
    }
    let env = Env::real();
    let format = if settings.text(Table::Node, "log.format") == "json" { LogFormat::Json } else { LogFormat::Text };
    let logs = LogControl::install(format, settings.text(Table::Node, "log.level"), env.clock.clone())
        .map_err(|error| CliError::config(format!("node.log.level: {error}")))?;
    log::log_panics();
    let threads = levada_env::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("levada")
        .max_blocking_threads(512)
        .on_thread_park(give_back_now_and_then)
        .enable_all()
        .build()
        .map_err(|cause| CliError::environment(format!("the runtime could not be started: {cause}")))?;
    let outcome = runtime.block_on(serve(env, settings, logs));
    // What hangs in plugin code must not hold up the end of the process.
    runtime.shutdown_background();
    outcome
}

/// A worker thread that comes to rest gives memory back, but not at each of the many short rests of busy times.
fn give_back_now_and_then() {
    thread_local! {
        static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    if LAST.get().is_none_or(|last| now.saturating_duration_since(last) >= GIVE_BACK_EVERY) {
        LAST.set(Some(now));
        memory::give_back();
    }
}

async fn serve(env: Env, settings: Settings, logs: LogControl) -> Result<(), CliError> {
    let mut signals = StopSignal::install()
        .map_err(|cause| CliError::environment(format!("signals could not be taken over: {cause}")))?;
    let limit = settings.millis(Table::Node, "shutdown.timeout.ms");
    let node = tokio::select! {
        node = Node::start(env, settings, logs) => node.map_err(cli_error)?,
        // Nothing has been promised to anyone yet.
        name = signals.recv() => {
            tracing::info!("{name} during the start: ending");
            return Ok(());
        }
    };
    let name = signals.recv().await;
    tracing::info!("{name}: stopping in order; a second signal hurries");
    tokio::select! {
        () = node.stop() => {
            tracing::info!("stopped");
            Ok(())
        }
        name = signals.recv() => Err(CliError::runtime(format!("{name} again: ended without an orderly stop"))),
        () = time::sleep(limit) => {
            let limit = limit.as_millis();
            Err(CliError::runtime(format!("the orderly stop took longer than node.shutdown.timeout.ms={limit}")))
        }
    }
}

fn cli_error(error: NodeError) -> CliError {
    match error {
        NodeError::Config(text) => CliError::config(text),
        NodeError::Environment(text) => CliError::environment(text),
    }
}
