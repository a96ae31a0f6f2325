//! What source and sink connectors have in common.

use crate::{ConfigDef, OffsetMap};

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
#[derive(Clone, Debug)]
pub struct ConnectorContext {
    /// The connector's name.
    pub name: String,
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
