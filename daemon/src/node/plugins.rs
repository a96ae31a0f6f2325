//! The connectors that this node knows: those compiled in, and those of `plugin.path`.

use super::NodeError;
use crate::{
    config::{Settings, Table},
    connect::{
        plugin::{Factory, Hangs, Origin, Placement, Plugin, Registry, Scanned, Scanner, add_libraries},
        task::AbandonedThreads,
        worker::PluginCalls,
    },
};
use levada_env::{Disk, Env};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// The key that keeps libraries which hang from being loaded again.
const HANGS: &str = "plugin.path.hangs";

/// Fills the registry once, at start. A library gets its time to be looked at and its time to be loaded; when one hangs
/// in this process, the process starts anew without it. So this comes before anything that a start would have to undo.
pub(super) async fn registry(env: &Env, settings: &Settings) -> Result<Registry, NodeError> {
    let mut registry = Registry::default();
    builtin(&mut registry);
    let paths = |key| -> Vec<PathBuf> { settings.list(Table::Worker, key).into_iter().map(PathBuf::from).collect() };
    let directories = paths("plugin.path");
    if !directories.is_empty() {
        let (disk, timeout) = (env.disk.clone(), settings.millis(Table::Worker, "plugin.scan.timeout.ms"));
        let dylib = settings.text(Table::Worker, "plugin.placement") == "dylib";
        let placement = if dylib { Placement::Dylib } else { Placement::Unset };
        let found = tokio::task::spawn_blocking(move || libraries(&*disk, &directories, timeout)).await;
        let found = found.unwrap_or_else(|cause| {
            tracing::error!(%cause, "plugin.path could not be looked through");
            Vec::new()
        });
        let mut known = paths(HANGS);
        // No thread of a hanging load is left behind: it ends with the process.
        let calls = PluginCalls::of_scan(Arc::new(AbandonedThreads::new(usize::MAX)), timeout);
        if let Err(hangs) = add_libraries(&mut registry, found, placement, &known, &calls).await {
            known.push(hangs.0.clone());
            return Err(start_anew(&known, &hangs));
        }
    }
    tell(&registry);
    Ok(registry)
}

/// Replaces this process by a new one that does not load `known`; comes back only when that can't be done. Must not log
/// before it has: see [`Hangs`].
fn start_anew(known: &[PathBuf], hangs: &Hangs) -> NodeError {
    let mend = "take the library out of plugin.path";
    // A list's items are parted by commas.
    let names: Option<Vec<&str>> = known.iter().map(|path| path.to_str().filter(|path| !path.contains(','))).collect();
    let Some(names) = names else { return NodeError::Environment(format!("{hangs}; {mend}")) };
    let cause = levada_env::process::start_anew(["--set".to_owned(), format!("worker.{HANGS}={}", names.join(","))]);
    NodeError::Environment(format!("{hangs}, and the process could not start anew without it: {cause}; {mend}"))
}

fn libraries(disk: &dyn Disk, directories: &[PathBuf], timeout: Duration) -> Vec<Scanned> {
    match levada_env::process::current_program() {
        Ok(program) => Scanner { program, timeout }.scan(disk, directories),
        Err(cause) => {
            tracing::error!(%cause, "plugin.path is not looked through: this program is not found");
            Vec::new()
        }
    }
}

fn tell(registry: &Registry) {
    for plugin in registry.plugins() {
        if let Origin::Library(path) = &plugin.origin {
            tracing::info!(class = plugin.info.class, version = plugin.info.version, path = %path.display(), "plugin");
        }
    }
    for other in registry.superseded() {
        tracing::info!(class = other.class, version = other.version, origin = ?other.origin, by = ?other.by, "superseded plugin");
    }
    for refused in registry.refused() {
        tracing::warn!(path = %refused.path.display(), reason = refused.reason, "no plugin");
    }
}

fn builtin(registry: &mut Registry) {
    for make in levada_connector_file::sources() {
        let (info, factory) = (make().info(), Factory::Source(Arc::new(move || Ok(make()))));
        registry.add(Plugin { info, factory, origin: Origin::Static });
    }
    #[cfg(feature = "postgres")]
    for make in levada_connector_postgres::sources() {
        let (info, factory) = (make().info(), Factory::Source(Arc::new(move || Ok(make()))));
        registry.add(Plugin { info, factory, origin: Origin::Static });
    }
    #[cfg(feature = "postgres")]
    for make in levada_connector_postgres::sinks() {
        let (info, factory) = (make().info(), Factory::Sink(Arc::new(move || Ok(make()))));
        registry.add(Plugin { info, factory, origin: Origin::Static });
    }
    for make in levada_connector_file::sinks() {
        let (info, factory) = (make().info(), Factory::Sink(Arc::new(move || Ok(make()))));
        registry.add(Plugin { info, factory, origin: Origin::Static });
    }
}
