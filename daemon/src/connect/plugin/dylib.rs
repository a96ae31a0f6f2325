//! The `dylib` placement: connector libraries inside the daemon, for operators who trust them.
//!
//! Which of several plugins of one class is used: a library before what is compiled in, since somebody put it there
//! on purpose; of two libraries the one that comes first in `plugin.path`. The registry names both. Libraries are
//! loaded once, at start, and never unloaded.

use super::{
    Factory, Origin, Plugin, Refused, Registry,
    discovery::{Scanned, names},
};
use crate::connect::worker::{Failure, PluginCalls};
use levada_connector_api::{
    ConnectorKind,
    abi::host::{Library, LibraryConnector, load},
};
use std::path::{Path, PathBuf};

/// What `plugin.placement` says of libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Nothing: they are only listed.
    Unset,
    /// They run inside the daemon.
    Dylib,
}

/// A library that hangs while this process loads it, though the scan's process came through.
///
/// Nothing can go on beside it: the system's loader holds a lock meanwhile that every new thread-local value needs, also
/// those of the log. Whoever gets this starts the process anew without the library.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} hangs while it is loaded", .0.display())]
pub struct Hangs(pub PathBuf);

/// Takes what discovery found into the registry. Each library is loaded by `calls` on a thread of its own with a
/// deadline; `known` ones, which have hung before, are not loaded at all.
pub async fn add_libraries(
    registry: &mut Registry,
    found: Vec<Scanned>,
    placement: Placement,
    known: &[PathBuf],
    calls: &PluginCalls,
) -> Result<(), Hangs> {
    for Scanned { path, report } in found {
        let refused = match (report, placement) {
            (Err(reason), _) => Some(reason),
            (Ok(classes), Placement::Unset) => {
                let names = names(&classes);
                Some(format!("it has {names}, but libraries only run when they may: set plugin.placement=dylib"))
            }
            (Ok(_), Placement::Dylib) if known.contains(&path) => Some(
                "it hung when the daemon loaded it, for longer than plugin.scan.timeout.ms; the daemon started anew \
                 without it"
                    .to_owned(),
            ),
            (Ok(_), Placement::Dylib) => match load_library(&path, calls).await {
                Ok(Ok(library)) => {
                    add_library(registry, &path, library);
                    None
                }
                Ok(Err(reason)) => Some(reason),
                Err(_) => return Err(Hangs(path)),
            },
        };
        if let Some(reason) = refused {
            registry.refuse(Refused { path, reason });
        }
    }
    Ok(())
}

async fn load_library(path: &Path, calls: &PluginCalls) -> Result<Result<Library, String>, Failure> {
    let path = path.to_owned();
    // SAFETY: the operator trusts the libraries of plugin.path (`plugin.placement=dylib`), and a child process
    // has just loaded this one.
    calls.call("load", move || Ok(unsafe { load(&path) }.map_err(|error| error.to_string()))).await
}

fn add_library(registry: &mut Registry, path: &Path, library: Library) {
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
}

fn factory(connector: LibraryConnector) -> Factory {
    match connector.info.kind {
        ConnectorKind::Source => Factory::Source(std::sync::Arc::new(move || connector.source())),
        ConnectorKind::Sink => Factory::Sink(std::sync::Arc::new(move || connector.sink())),
    }
}
