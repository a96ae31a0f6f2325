//! The `dylib` placement: connector libraries inside the daemon, for operators who trust them.
//!
//! Which of several plugins of one class is used: a library before what is compiled in, since somebody put it there
//! on purpose; of two libraries the one that comes first in `plugin.path`. The registry names both. Libraries are
//! loaded once, at start, and never unloaded.

use super::{
    Factory, Origin, Plugin, Refused, Registry,
    discovery::{Scanned, names},
};
use levada_connector_api::{
    ConnectorKind,
    abi::host::{LibraryConnector, load},
};
use std::path::Path;

/// What `plugin.placement` says of libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Nothing: they are only listed.
    Unset,
    /// They run inside the daemon.
    Dylib,
}

/// Takes what discovery found into the registry. Runs the libraries' constructors: blocks.
pub fn add_libraries(registry: &mut Registry, found: Vec<Scanned>, placement: Placement) {
    for Scanned { path, report } in found {
        let refused = match (report, placement) {
            (Err(reason), _) => Some(reason),
            (Ok(classes), Placement::Unset) => {
                let names = names(&classes);
                Some(format!("it has {names}, but libraries only run when they may: set plugin.placement=dylib"))
            }
            (Ok(_), Placement::Dylib) => add_library(registry, &path).err(),
        };
        if let Some(reason) = refused {
            registry.refuse(Refused { path, reason });
        }
    }
}

fn add_library(registry: &mut Registry, path: &Path) -> Result<(), String> {
    // SAFETY: the operator trusts the libraries of plugin.path (`plugin.placement=dylib`), and a child process
    // has just loaded this one.
    let library = unsafe { load(path) }.map_err(|error| error.to_string())?;
    for connector in library.connectors {
        let origin = Origin::Library(path.to_owned());
        let plugin = Plugin { info: connector.info.clone(), factory: factory(connector), origin };
        match registry.library_of(&plugin.info.class).map(Path::to_owned) {
            Some(first) => {
                let class = &plugin.info.class;
                let reason = format!("its {class} is not used: {} comes first in plugin.path", first.display());
                registry.refuse(Refused { path: path.to_owned(), reason });
            }
            None => registry.add(plugin),
        }
    }
    Ok(())
}

fn factory(connector: LibraryConnector) -> Factory {
    match connector.info.kind {
        ConnectorKind::Source => Factory::Source(std::sync::Arc::new(move || connector.source())),
        ConnectorKind::Sink => Factory::Sink(std::sync::Arc::new(move || connector.sink())),
    }
}
