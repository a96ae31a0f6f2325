//! All known connectors by their names.

use levada_connector_api::{ConnectorInfo, ConnectorKind, SinkConnector, SourceConnector};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Makes connectors of one class.
#[derive(Clone)]
pub enum Factory {
    /// A source.
    Source(Arc<dyn Fn() -> levada_connector_api::Result<Box<dyn SourceConnector>> + Send + Sync>),
    /// A sink.
    Sink(Arc<dyn Fn() -> levada_connector_api::Result<Box<dyn SinkConnector>> + Send + Sync>),
}

impl Factory {
    /// A factory of sources that can't fail.
    pub fn source<C: SourceConnector + 'static>(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self::Source(Arc::new(move || Ok(Box::new(make()))))
    }

    /// A factory of sinks that can't fail.
    pub fn sink<C: SinkConnector + 'static>(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self::Sink(Arc::new(move || Ok(Box::new(make()))))
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source(_) => "Source",
            Self::Sink(_) => "Sink",
        })
    }
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Compiled into the daemon.
    Static,
    /// A library of `plugin.path`.
    Library(PathBuf),
}

/// One connector class.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// What it says of itself.
    pub info: ConnectorInfo,
    /// Makes instances.
    pub factory: Factory,
    /// Where it comes from.
    pub origin: Origin,
}

impl Plugin {
    /// The class of its tasks, as Connect names it in task configs.
    pub fn task_class(&self) -> String {
        let class = &self.info.class;
        format!("{}Task", class.strip_suffix("Connector").unwrap_or(class))
    }

    /// Whether `name` means this plugin: full class, simple class, alias, each also without `Connector`.
    fn is_called(&self, name: &str) -> bool {
        std::iter::once(&self.info.class).chain(&self.info.aliases).any(|class| {
            let simple = class.rsplit('.').next().unwrap_or(class);
            [class.as_str(), simple].into_iter().any(|class| {
                class == name || class.strip_suffix("Connector").is_some_and(|short| !short.is_empty() && short == name)
            })
        })
    }
}

/// A file of `plugin.path` that gave no plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A plugin that is not used because another one has its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// The class of both.
    pub class: String,
    /// Version of the one that is not used.
    pub version: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Where the one that is used comes from.
    pub by: Origin,
}

/// All connectors.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    plugins: Vec<Arc<Plugin>>,
    superseded: Vec<Superseded>,
    refused: Vec<Refused>,
}

impl Registry {
    /// Adds a plugin. One of a class that is there already replaces it, so that a library can supersede a built-in.
    pub fn add(&mut self, plugin: Plugin) {
        for known in self.plugins.extract_if(.., |known| known.info.class == plugin.info.class) {
            self.superseded.push(Superseded {
                class: known.info.class.clone(),
                version: known.info.version.clone(),
                origin: known.origin.clone(),
                by: plugin.origin.clone(),
            });
        }
        self.plugins.push(Arc::new(plugin));
        self.plugins.sort_by(|a, b| (kind_order(a), &a.info.class).cmp(&(kind_order(b), &b.info.class)));
    }

    /// Notes a file that gave no plugin.
    pub fn refuse(&mut self, refused: Refused) {
        self.refused.push(refused);
    }

    /// All plugins: sinks, then sources, by class, as Connect lists them.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Plugins that are not used because another one has their class.
    pub fn superseded(&self) -> &[Superseded] {
        &self.superseded
    }

    /// The library that a class comes from; `None` when it is compiled in or unknown.
    pub fn library_of(&self, class: &str) -> Option<&Path> {
        let plugin = self.plugins.iter().find(|plugin| plugin.info.class == class)?;
        match &plugin.origin {
            Origin::Library(path) => Some(path),
            Origin::Static => None,
        }
    }

    /// Files of `plugin.path` that gave no plugin.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The plugin that `connector.class` names: an exact class first, then any of its other names. A name that several
    /// have names none, as in Connect: the three JDBC sinks have one simple class and different keys.
    pub fn find(&self, name: &str) -> Option<&Arc<Plugin>> {
        let exact = self.plugins.iter().find(|plugin| plugin.info.class == name);
        exact.or_else(|| {
            let mut called = self.plugins.iter().filter(|plugin| plugin.is_called(name));
            let only = called.next()?;
            called.next().is_none().then_some(only)
        })
    }

    /// `source`, `sink` or `unknown` for a class name, as in REST answers.
    pub fn kind_name(&self, class: Option<&str>) -> &'static str {
        match class.and_then(|class| self.find(class)).map(|plugin| plugin.info.kind) {
            Some(ConnectorKind::Source) => "source",
            Some(ConnectorKind::Sink) => "sink",
            None => "unknown",
        }
    }
}

fn kind_order(plugin: &Plugin) -> u8 {
    match plugin.info.kind {
        ConnectorKind::Sink => 0,
        ConnectorKind::Source => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::{ConfigDef, ConnectorError};

    fn plugin(class: &str, kind: ConnectorKind) -> Plugin {
        let info = ConnectorInfo {
            class: class.into(),
            aliases: vec!["dev.levada.FileSource".into()],
            kind,
            version: "1".into(),
            config_def: ConfigDef::default(),
        };
        let factory = Factory::Source(Arc::new(|| Err(ConnectorError::fatal("not for tests"))));
        Plugin { info, factory, origin: Origin::Static }
    }

    #[test]
    fn a_class_is_found_by_each_of_its_names() {
        let mut registry = Registry::default();
        registry.add(plugin("org.apache.kafka.connect.file.FileStreamSourceConnector", ConnectorKind::Source));
        for name in [
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "org.apache.kafka.connect.file.FileStreamSource",
            "FileStreamSourceConnector",
            "FileStreamSource",
            "FileSource",
        ] {
            assert!(registry.find(name).is_some(), "{name}");
        }
        for name in ["", "Connector", "FileStream", "filestreamsource"] {
            assert!(registry.find(name).is_none(), "{name}");
        }
        assert_eq!(registry.kind_name(Some("FileStreamSource")), "source");
        assert_eq!(registry.kind_name(Some("X")), "unknown");
        let found = registry.find("FileStreamSource").unwrap();
        assert_eq!(found.task_class(), "org.apache.kafka.connect.file.FileStreamSourceTask");
    }

    #[test]
    fn a_name_that_several_have_is_none() {
        let mut registry = Registry::default();
        for class in ["a.JdbcSinkConnector", "b.JdbcSinkConnector"] {
            registry.add(plugin(class, ConnectorKind::Sink));
        }
        assert!(registry.find("a.JdbcSink").is_some() && registry.find("b.JdbcSinkConnector").is_some());
        assert!(registry.find("JdbcSinkConnector").is_none() && registry.find("JdbcSink").is_none());
    }
}
