//! The connectors that this node knows: those compiled in, and those of `plugin.path`.

use crate::{
    config::{Settings, Table},
    connect::plugin::{Factory, Origin, Plugin, Registry},
};
use std::sync::Arc;

/// Fills the registry once, at start.
pub(super) fn registry(settings: &Settings) -> Registry {
    let mut registry = Registry::default();
    builtin(&mut registry);
    for directory in settings.list(Table::Worker, "plugin.path") {
        tracing::debug!(directory, "plugin path");
    }
    for refused in registry.refused() {
        tracing::warn!(path = %refused.path.display(), reason = refused.reason, "no plugin");
    }
    registry
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
