//! Keys of the sinks.

use levada_connector_api::{Config, ConfigEnum, ConnectorConfig, Result, config::KeyError};

/// What is done when the file is not the one that the committed offsets speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum OnMismatch {
    /// The task fails.
    Fail,
    /// Lines are appended to the file as it is.
    Append,
}

/// Keys of `FileStreamSink`: Apache's own, and those of appending.
#[derive(Debug, ConnectorConfig)]
#[config(rule = exactly_once_needs_file)]
pub struct FileStreamSinkConfig {
    /// Destination file. Without it lines go to the standard output.
    #[config(importance = "high")]
    pub file: Option<String>,
    /// Whether a crash may double no line: the length of the file is stored with the offsets, and on
    /// start what is behind that length is cut off. No other program may write to the file then.
    #[config(key = "exactly.once", default = "false")]
    pub exactly_once: bool,
    /// What is common to the sinks.
    #[config(flatten)]
    pub appending: AppendingConfig,
}

/// Keys of `FileSink`.
#[derive(Debug, ConnectorConfig)]
pub struct FileSinkConfig {
    /// Destination file. Its directory must exist.
    #[config(importance = "high", non_empty, required)]
    pub path: String,
    /// Whether a crash may double no line: the length of the file is stored with the offsets, and on
    /// start what is behind that length is cut off. No other program may write to the file then.
    #[config(key = "exactly.once", default = "true")]
    pub exactly_once: bool,
    /// What is common to the sinks.
    #[config(flatten)]
    pub appending: AppendingConfig,
}

/// Keys of appending, common to the sinks.
#[derive(Debug, ConnectorConfig)]
pub struct AppendingConfig {
    /// With `exactly.once`: what is done when the file is not the one that the committed offsets
    /// speak of, or its content is not. `fail` fails the task; `append` goes on at the end of the
    /// file as it is, where lines may then be doubled or missing.
    #[config(key = "on.mismatch", default = "fail", importance = "low")]
    pub on_mismatch: OnMismatch,
    /// Bytes that are gathered before they are written.
    #[config(key = "buffer.bytes", default = "1048576", min = 1, max = 67108864, importance = "low")]
    pub buffer_bytes: i32,
    /// Bytes after which the sink asks for a commit before its time.
    #[config(key = "commit.bytes", default = "67108864", min = 1, importance = "low")]
    pub commit_bytes: i32,
}

fn exactly_once_needs_file(config: &Config) -> Vec<KeyError> {
    let on = config.get("exactly.once").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    if on && config.get("file").is_none_or(|file| file.trim().is_empty()) {
        return vec![KeyError::invalid("exactly.once", "true", "the standard output can't be; set `file`")];
    }
    Vec::new()
}

/// What a task needs to know.
pub struct TaskSettings {
    /// Name of the key that holds the path, for error texts.
    pub key: &'static str,
    /// The file; `None` for the standard output.
    pub path: Option<String>,
    /// Whether a crash may double no line.
    pub exactly_once: bool,
    /// What a mismatch leads to.
    pub on_mismatch: OnMismatch,
    /// Bytes gathered before a write.
    pub buffer_bytes: usize,
    /// Bytes after which a commit is asked for.
    pub commit_bytes: u64,
}

impl TaskSettings {
    fn new(key: &'static str, path: Option<String>, exactly_once: bool, appending: &AppendingConfig) -> Self {
        let positive = |number: i32| number.max(1).unsigned_abs();
        Self {
            key,
            path,
            exactly_once,
            on_mismatch: appending.on_mismatch,
            buffer_bytes: positive(appending.buffer_bytes) as usize,
            commit_bytes: u64::from(positive(appending.commit_bytes)),
        }
    }

    /// Of a `FileStreamSink` task.
    pub fn of_file_stream(config: &Config) -> Result<Self> {
        let typed = FileStreamSinkConfig::parse(config)?;
        let path = typed.file.filter(|file| !file.is_empty());
        Ok(Self::new("file", path, typed.exactly_once, &typed.appending))
    }

    /// Of a `FileSink` task.
    pub fn of_file(config: &Config) -> Result<Self> {
        let typed = FileSinkConfig::parse(config)?;
        Ok(Self::new("path", Some(typed.path), typed.exactly_once, &typed.appending))
    }
}
