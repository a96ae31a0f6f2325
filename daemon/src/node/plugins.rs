//! The connectors that this node knows: those compiled in, and those of `plugin.path`.

use crate::{
    config::{Settings, Table},
    connect::plugin::{Factory, Origin, Placement, Plugin, Registry, Scanner, add_libraries},
};
use levada_env::{Disk, Env};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Fills the registry once, at start. Libraries are looked at off the runtime: that takes as long as it takes.
pub(super) async fn registry(env: &Env, settings: &Settings) -> Registry {
    let mut registry = Registry::default();
    builtin(&mut registry);
    let directories: Vec<PathBuf> =
        settings.list(Table::Worker, "plugin.path").into_iter().map(PathBuf::from).collect();
    if !directories.is_empty() {
        let (disk, timeout) = (env.disk.clone(), settings.millis(Table::Worker, "plugin.scan.timeout.ms"));
        let dylib = settings.text(Table::Worker, "plugin.placement") == "dylib";
        let placement = if dylib { Placement::Dylib } else { Placement::Unset };
        let without = registry.clone();
        let found = tokio::task::spawn_blocking(move || libraries(registry, &*disk, &directories, timeout, placement));
        registry = found.await.unwrap_or_else(|cause| {
            tracing::error!(%cause, "plugin.path could not be looked through");
            without
        });
    }
    tell(&registry);
    registry
}

fn libraries(
    mut registry: Registry,
    disk: &dyn Disk,
    directories: &[PathBuf],
    timeout: Duration,
    placement: Placement,
) -> Registry {
    match levada_env::process::current_program() {
        Ok(program) => {
            let found = Scanner { program, timeout }.scan(disk, directories);
            add_libraries(&mut registry, found, placement);
        }
        Err(cause) => tracing::error!(%cause, "plugin.path is not looked through: this program is not found"),
    }
    registry
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
    for make in levada_connector_file::sinks() {
        let (info, factory) = (make().info(), Factory::Sink(Arc::new(move || Ok(make()))));
        registry.add(Plugin { info, factory, origin: Origin::Static });
    }
}
