//! What source and sink connectors have in common.

use crate::{ConfigDef, OffsetMap};
use std::{fmt, sync::Arc};

/// Source or sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectorKind {
    /// Reads the outside world into topics.
    Source,
    /// Writes topics to the outside world.
    Sink,
}

/// What a connector says of itself without being started.
#[derive(Clone, Debug)]
pub struct ConnectorInfo {
    /// Class name it is posted under; for a Connect-compatible one the full Java class name.
    pub class: String,
    /// Other names that mean the same connector.
    pub aliases: Vec<String>,
    /// Source or sink.
    pub kind: ConnectorKind,
    /// Version.
    pub version: String,
    /// The keys it knows.
    pub config_def: ConfigDef,
}

impl ConnectorInfo {
    /// A connector without other names.
    pub fn new(class: &str, kind: ConnectorKind, version: &str, config_def: ConfigDef) -> Self {
        Self { class: class.to_owned(), aliases: Vec::new(), kind, version: version.to_owned(), config_def }
    }
}

/// What the runtime gives a connector when it starts.
#[derive(Clone)]
pub struct ConnectorContext {
    /// The connector's name.
    pub name: String,
    reconfigure: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl ConnectorContext {
    /// Of a runtime that divides the work only when the connector starts.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), reconfigure: None }
    }

    /// Of a runtime that divides the work anew whenever `ask` was called. It must not block.
    #[must_use]
    pub fn with_reconfiguration(self, ask: impl Fn() + Send + Sync + 'static) -> Self {
        Self { reconfigure: Some(Arc::new(ask)), ..self }
    }

    /// Asks for new task configurations: the runtime calls `task_configs` soon, and starts anew the tasks whose
    /// configuration has changed. It may get lost while much else happens, so who needs it asks again.
    pub fn request_task_reconfiguration(&self) {
        if let Some(ask) = &self.reconfigure {
            ask();
        }
    }

    /// Whether [`Self::request_task_reconfiguration`] has an effect: not in a connector of a
    /// library or a daemon that was made for minor version 4 of the plugin interface.
    pub fn can_request_task_reconfiguration(&self) -> bool {
        self.reconfigure.is_some()
    }
}

impl fmt::Debug for ConnectorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorContext").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Answer to whether a source can be exactly-once with a given configuration (KIP-618).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    /// It can.
    Supported,
    /// It can't.
    Unsupported,
}

/// One partition's change in a request to alter offsets (KIP-875); `None` resets it.
pub type OffsetChange = (OffsetMap, Option<OffsetMap>);
