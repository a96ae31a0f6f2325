//! The node's log: `tracing` to stderr, with levels that can be changed per logger while it runs.
//!
//! A logger is a module path; the REST API's dots mean the same as Rust's `::`. Made once by the command line; REST
//! changes levels through [`LogControl`].

use super::secrets;
use levada_env::Clock;
use parking_lot::Mutex;
use std::{collections::BTreeMap, io, sync::Arc};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, reload};

/// The name of the logger that all others inherit from.
pub const ROOT: &str = "root";

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A logger's level and when it was last changed over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logger {
    /// Connect's name of the level.
    pub level: &'static str,
    /// Milliseconds since the epoch.
    pub last_modified: Option<i64>,
}

/// Why a level was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// No level is called so.
    #[error("invalid log level '{0}'.")]
    Unknown(String),
    /// Each logger with a level of its own takes memory, and its name is whatever a client says (invariant 9).
    #[error(
        "there are {MOST_LOGGERS} loggers with levels of their own already; set the level of one that they are below"
    )]
    TooMany,
}

/// Loggers that may have levels of their own.
const MOST_LOGGERS: usize = 1000;

/// Levels by logger. Clones share them.
#[derive(Clone)]
pub struct LogControl {
    shared: Arc<Shared>,
}

struct Shared {
    loggers: Mutex<BTreeMap<String, Logger>>,
    filter: Option<reload::Handle<Targets, Registry>>,
    clock: Arc<dyn Clock>,
}

impl LogControl {
    /// Makes this the process's log. Called once; a second call only gets levels of its own.
    pub fn install(format: LogFormat, level: &str, clock: Arc<dyn Clock>) -> Result<Self, LevelError> {
        let (level, filter) = parse(level)?;
        let (layer, handle) = reload::Layer::new(Targets::new().with_default(filter));
        let lines = fmt::layer().with_writer(|| MaskedStderr).with_ansi(false);
        let lines = match format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = Registry::default().with(lines.with_filter(layer));
        let filter = tracing::subscriber::set_global_default(subscriber).is_ok().then_some(handle);
        Ok(Self::with(level, filter, clock))
    }

    /// Levels that no log obeys, for tests.
    pub fn detached(clock: Arc<dyn Clock>) -> Self {
        Self::with("INFO", None, clock)
    }

    fn with(level: &'static str, filter: Option<reload::Handle<Targets, Registry>>, clock: Arc<dyn Clock>) -> Self {
        let loggers = [(ROOT.to_owned(), Logger { level, last_modified: None })].into();
        Self { shared: Arc::new(Shared { loggers: Mutex::new(loggers), filter, clock }) }
    }

    /// All loggers with a level of their own.
    pub fn all(&self) -> BTreeMap<String, Logger> {
        self.shared.loggers.lock().clone()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Logger> {
        self.shared.loggers.lock().get(name).cloned()
    }

    /// Sets the level of a logger and of all below it; the names of those that changed.
    pub fn set(&self, name: &str, level: &str) -> Result<Vec<String>, LevelError> {
        let (level, _) = parse(level)?;
        let now = Logger { level, last_modified: Some(self.shared.clock.wall_ms()) };
        let mut loggers = self.shared.loggers.lock();
        if loggers.len() >= MOST_LOGGERS && !loggers.contains_key(name) {
            return Err(LevelError::TooMany);
        }
        loggers.entry(name.to_owned()).or_insert_with(|| now.clone());
        let mut affected = Vec::new();
        for (logger, state) in loggers.iter_mut() {
            if name == ROOT || logger == name || is_below(logger, name) {
                *state = now.clone();
                affected.push(logger.clone());
            }
        }
        self.apply(&loggers);
        Ok(affected)
    }

    fn apply(&self, loggers: &BTreeMap<String, Logger>) {
        let Some(filter) = &self.shared.filter else { return };
        let level = |logger: &Logger| parse(logger.level).map_or(LevelFilter::INFO, |(_, filter)| filter);
        let root = loggers.get(ROOT).map_or(LevelFilter::INFO, level);
        let targets = loggers
            .iter()
            .filter(|(name, _)| *name != ROOT)
            .map(|(name, logger)| (name.replace('.', "::"), level(logger)));
        let targets = Targets::new().with_default(root).with_targets(targets);
        if let Err(error) = filter.reload(targets) {
            tracing::warn!(%error, "log levels could not be changed");
        }
    }
}

/// The log's end. Lines come whole, so that a secret in one is found (invariant 12).
struct MaskedStderr;

impl io::Write for MaskedStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => io::stderr().write_all(secrets::masked(text).as_bytes())?,
            Err(_) => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn is_below(logger: &str, name: &str) -> bool {
    logger.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') || rest.starts_with("::"))
}

/// Connect's name of a level and the filter it means.
fn parse(level: &str) -> Result<(&'static str, LevelFilter), LevelError> {
    let known = [
        ("OFF", LevelFilter::OFF),
        ("FATAL", LevelFilter::ERROR),
        ("ERROR", LevelFilter::ERROR),
        ("WARN", LevelFilter::WARN),
        ("INFO", LevelFilter::INFO),
        ("DEBUG", LevelFilter::DEBUG),
        ("TRACE", LevelFilter::TRACE),
        ("ALL", LevelFilter::TRACE),
    ];
    known
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(level))
        .ok_or_else(|| LevelError::Unknown(level.to_owned()))
}

/// Panics become one line of the log instead of a backtrace on stderr; whoever owns the thread or task reports what it
/// means.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let cause = info.payload();
        let text = cause
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| cause.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown cause");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(thread, place, "panic: {text}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_env::RealClock;

    #[test]
    fn a_level_reaches_the_loggers_below() {
        let control = LogControl::detached(Arc::new(RealClock));
        assert_eq!(control.set("a.b", "debug").unwrap(), ["a.b"]);
        assert_eq!(control.set("a.bc", "warn").unwrap(), ["a.bc"]);
        assert_eq!(control.set("a", "TRACE").unwrap(), ["a", "a.b", "a.bc"]);
        assert_eq!(control.get("a.b").unwrap().level, "TRACE");
        assert_eq!(control.set("a.b", "OFF").unwrap(), ["a.b"]);
        assert_eq!(control.get("a.bc").unwrap().level, "TRACE");
        assert_eq!(control.get("root").unwrap(), Logger { level: "INFO", last_modified: None });
        assert!(control.get("x").is_none());
        assert_eq!(control.set("a", "LOUD").unwrap_err().to_string(), "invalid log level 'LOUD'.");
    }

    #[test]
    fn loggers_are_bounded_and_known_ones_can_still_be_set() {
        let control = LogControl::detached(Arc::new(RealClock));
        let refused =
            (0..2 * MOST_LOGGERS).filter(|number| control.set(&format!("x{number}"), "DEBUG").is_err()).count();
        assert_eq!((control.all().len(), refused), (MOST_LOGGERS, MOST_LOGGERS + 1));
        assert_eq!(control.set("x0", "INFO").unwrap(), ["x0"]);
        assert_eq!(control.set("new", "INFO"), Err(LevelError::TooMany));
    }
}
