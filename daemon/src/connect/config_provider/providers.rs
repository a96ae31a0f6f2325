//! The three providers that come with Kafka, and their limits.

use super::properties;
use crate::connect::transform::JavaRegex;
use levada_connector_api::Config;
use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// Largest file that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// Where values come from. The real one is [`SystemReader`].
pub trait Reader: Send + Sync {
    /// An environment variable of this process.
    fn variable(&self, name: &str) -> Option<String>;

    /// A whole text file.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// The process's environment and disk.
pub struct SystemReader(pub Arc<dyn levada_env::Disk>);

impl Reader for SystemReader {
    fn variable(&self, name: &str) -> Option<String> {
        levada_env::process::variable(name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.0.read_file(path, MAX_FILE)?).map_err(|_| io::Error::other("it is not UTF-8"))
    }
}

/// Why a configuration can't be resolved. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The worker's own configuration is wrong.
    #[error("{key}: {reason}")]
    Setup {
        /// The worker's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A placeholder stands for nothing.
    #[error("{key} is {placeholder}, which can't be resolved: {reason}")]
    Unresolved {
        /// The connector's key.
        key: String,
        /// As it stands in the configuration.
        placeholder: String,
        /// Why.
        reason: String,
    },
}

#[derive(Clone, Debug)]
enum Kind {
    Env { allowed: Option<Box<JavaRegex>> },
    File { allowed: Vec<PathBuf> },
    Directory { allowed: Vec<PathBuf> },
}

/// The worker's providers by their names.
#[derive(Clone)]
pub struct Providers {
    providers: Vec<(String, Kind)>,
    reader: Arc<dyn Reader>,
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.providers.iter().map(|(name, _)| name)).finish()
    }
}

impl Providers {
    /// None at all: no placeholder is resolved.
    pub fn none() -> Self {
        struct Nothing;
        impl Reader for Nothing {
            fn variable(&self, _: &str) -> Option<String> {
                None
            }
            fn file(&self, _: &Path) -> io::Result<String> {
                Err(io::Error::from(io::ErrorKind::NotFound))
            }
        }
        Self { providers: Vec::new(), reader: Arc::new(Nothing) }
    }

    /// From `config.providers` and `config.providers.P.*` of the worker.
    pub fn from_worker(config: &Config, reader: Arc<dyn Reader>) -> Result<Self, ProviderError> {
        let names = config.get("config.providers").map_or("", String::as_str);
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let providers = names.map(|name| Ok((name.to_owned(), kind(config, name)?))).collect::<Result<_, _>>()?;
        Ok(Self { providers, reader })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Whether there is a provider of that name.
    pub(super) fn knows(&self, provider: &str) -> bool {
        self.providers.iter().any(|(name, _)| name == provider)
    }

    /// The value of a placeholder in the connector's key `of`; `None` when there is no such provider.
    pub(super) fn get(&self, of: &str, provider: &str, path: &str, key: &str) -> Result<Option<String>, ProviderError> {
        let Some((_, kind)) = self.providers.iter().find(|(name, _)| name == provider) else { return Ok(None) };
        let value = match kind {
            Kind::Env { allowed } => self.variable(allowed.as_deref(), key),
            Kind::File { allowed } => self
                .read(allowed, Path::new(path))
                .and_then(|text| properties::find(&text, key).ok_or_else(|| "the file has no such key".to_owned())),
            Kind::Directory { allowed } => {
                let mut parts = Path::new(key).components();
                match (parts.next(), parts.next()) {
                    (Some(Component::Normal(name)), None) => self.read(allowed, &Path::new(path).join(name)),
                    _ => Err("the key must be a file name".to_owned()),
                }
            }
        };
        value.map(Some).map_err(|reason| {
            let colon = if path.is_empty() { "" } else { ":" };
            let placeholder = format!("${{{provider}:{path}{colon}{key}}}");
            ProviderError::Unresolved { key: of.to_owned(), placeholder, reason }
        })
    }

    fn variable(&self, allowed: Option<&JavaRegex>, name: &str) -> Result<String, String> {
        if allowed.is_some_and(|allowed| !allowed.matches(name).unwrap_or(false)) {
            return Err("the name is not allowed by allowlist.pattern".to_owned());
        }
        self.reader.variable(name).ok_or_else(|| "the environment has no such variable".to_owned())
    }

    fn read(&self, allowed: &[PathBuf], path: &Path) -> Result<String, String> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if !allowed.is_empty() && (climbs || !allowed.iter().any(|allowed| path.starts_with(allowed))) {
            return Err("the path is not allowed by allowed.paths".to_owned());
        }
        self.reader.file(path).map_err(|cause| format!("the file can't be read: {cause}"))
    }
}

fn kind(config: &Config, name: &str) -> Result<Kind, ProviderError> {
    let key = format!("config.providers.{name}.class");
    let wrong = |key: &str, reason: String| ProviderError::Setup { key: key.to_owned(), reason };
    let class = config.get(&key).map(|class| class.trim()).unwrap_or_default();
    if class.is_empty() {
        return Err(wrong(&key, "is missing; name the provider's class".to_owned()));
    }
    let param = |param: &str| config.get(&format!("config.providers.{name}.param.{param}")).map(String::as_str);
    let paths = || {
        let list = param("allowed.paths").unwrap_or_default();
        list.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect()
    };
    match class.rsplit('.').next() {
        Some("EnvVarConfigProvider") => {
            let allowed = param("allowlist.pattern").map(JavaRegex::new).transpose();
            let pattern = format!("config.providers.{name}.param.allowlist.pattern");
            let allowed = allowed.map_err(|error| wrong(&pattern, error.to_string()))?;
            Ok(Kind::Env { allowed: allowed.map(Box::new) })
        }
        Some("FileConfigProvider") => Ok(Kind::File { allowed: paths() }),
        Some("DirectoryConfigProvider") => Ok(Kind::Directory { allowed: paths() }),
        _ => {
            let known = "EnvVarConfigProvider, FileConfigProvider and DirectoryConfigProvider";
            Err(wrong(&key, format!("class {class} could not be found; known are {known}")))
        }
    }
}
