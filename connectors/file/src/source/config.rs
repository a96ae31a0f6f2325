//! Keys of the sources.

use crate::{
    tail::{Discovery, Settings, Waits, check_glob, is_pattern},
    text::{Encoding, InvalidText, LineRules, LongLines},
};
use levada_connector_api::{Config, ConfigEnum, ConnectorConfig, Result, config::KeyError};
use std::time::Duration;

/// Task number, set by the connector in the configurations of its tasks.
pub const TASK_INDEX: &str = "file.task.index";
/// Number of tasks that share a pattern.
pub const TASK_COUNT: &str = "file.task.count";

/// Keys of `FileStreamSource`: Apache's own, and those of following files.
#[derive(Debug, ConnectorConfig)]
pub struct FileStreamSourceConfig {
    /// Source file. Without it lines are read from the standard input, and no offsets are kept.
    #[config(importance = "high")]
    pub file: Option<String>,
    /// Topic that lines are written to.
    #[config(importance = "high", non_empty, required)]
    pub topic: String,
    /// Most records of one poll.
    #[config(key = "batch.size", default = "2000", importance = "low")]
    pub batch_size: i32,
    /// What becomes of a line over `max.line.bytes`: `fail` fails the task, `split` makes several
    /// records, each with the header `file.line.part`, and `truncate` one, with the header
    /// `file.line.truncated`.
    #[config(key = "long.lines", default = "fail", importance = "low")]
    pub long_lines: LongLines,
    /// What is common to all sources.
    #[config(flatten)]
    pub following: FollowingConfig,
}

/// What the key of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum RecordKey {
    /// Null.
    None,
    /// The path of the file.
    Filename,
}

/// Keys of `FileSource`.
#[derive(Debug, ConnectorConfig)]
#[config(rule = exclude_needs_pattern)]
pub struct FileSourceConfig {
    /// File, or pattern of files: `*` and `?` within a name, `**` over directories, `[a-z]`, `{a,b}`.
    /// Files and directories may appear later.
    #[config(importance = "high", non_empty, required, check = check_path, group = "Files")]
    pub path: String,
    /// Pattern of files to leave out.
    #[config(check = check_glob, group = "Files")]
    pub exclude: Option<String>,
    /// Most files that the pattern may match; a task fails above it.
    #[config(key = "max.files", default = "100000", min = 1, importance = "low", group = "Files")]
    pub max_files: i32,
    /// Topic that lines are written to.
    #[config(importance = "high", non_empty, required, group = "Records")]
    pub topic: String,
    /// Key of the records: `none` or `filename`.
    #[config(default = "none", group = "Records")]
    pub key: RecordKey,
    /// Most records of one poll.
    #[config(key = "batch.size", default = "4096", min = 1, importance = "low", group = "Records")]
    pub batch_size: i32,
    /// What becomes of a line over `max.line.bytes`: `split` makes several records, each with the
    /// header `file.line.part`, `truncate` makes one, with the header `file.line.truncated`, and
    /// `fail` fails the task.
    #[config(key = "long.lines", default = "split", importance = "low", group = "Lines")]
    pub long_lines: LongLines,
    /// What is common to all sources.
    #[config(flatten)]
    pub following: FollowingConfig,
}

/// Keys of following files, common to the sources.
#[derive(Debug, ConnectorConfig)]
pub struct FollowingConfig {
    /// Encoding of the files: `utf-8`, `utf-16le`, `utf-16be`, `latin1`, or a WHATWG name of one that
    /// is a superset of ASCII. A byte order mark at the start of a file is dropped.
    #[config(default = "utf-8", check = Encoding::check, group = "Lines")]
    pub encoding: String,
    /// What becomes of bytes that are no text of the encoding: `replace` puts U+FFFD in their place,
    /// `fail` fails the task.
    #[config(key = "invalid.text", default = "replace", importance = "low", group = "Lines")]
    pub invalid_text: InvalidText,
    /// Most bytes of a line, its end not counted.
    #[config(
        key = "max.line.bytes",
        default = "1000000",
        min = 16,
        max = 134217728,
        importance = "low",
        group = "Lines"
    )]
    pub max_line_bytes: i32,
    /// Half a line at the end of a file is given out when nothing was added for so long; 0 waits for
    /// its end for ever.
    #[config(key = "idle.flush.ms", default = "0", importance = "low", group = "Lines")]
    pub idle_flush: Duration,
    /// Bytes of text after which a poll takes no more lines.
    #[config(key = "batch.bytes", default = "1048576", min = 1, importance = "low", group = "Records")]
    pub batch_bytes: i32,
    /// Longest time between two looks at the files. Most changes are noticed at once; this is for
    /// where the system sends no notice, as on network mounts.
    #[config(key = "scan.interval.ms", default = "1000", min = 10, importance = "low", group = "Rotation")]
    pub scan_interval: Duration,
    /// How long a file that was replaced is watched for late lines before the new one is read.
    #[config(key = "rotate.wait.ms", default = "5000", importance = "low", group = "Rotation")]
    pub rotate_wait: Duration,
    /// How long a file that was deleted is watched for late lines.
    #[config(key = "delete.wait.ms", default = "1000", importance = "low", group = "Rotation")]
    pub delete_wait: Duration,
    /// Most open files; those read longest ago are closed first, and opened again when they change.
    #[config(key = "max.open.files", default = "512", min = 1, importance = "low", group = "Files")]
    pub max_open_files: i32,
}

fn check_path(path: &str) -> std::result::Result<(), String> {
    if is_pattern(path) { check_glob(path) } else { Ok(()) }
}

fn exclude_needs_pattern(config: &Config) -> Vec<KeyError> {
    match (config.get("exclude"), config.get("path")) {
        (Some(exclude), Some(path)) if !is_pattern(path) => {
            vec![KeyError::invalid("exclude", exclude, "it only works beside a `path` that is a pattern")]
        }
        _ => Vec::new(),
    }
}

/// What a task needs to know.
pub struct TaskSettings {
    /// Topic.
    pub topic: String,
    /// Record key.
    pub key: RecordKey,
    /// Most records of a batch.
    pub batch_records: usize,
    /// Text bytes after which a batch takes no more.
    pub batch_bytes: usize,
    /// Time between two looks.
    pub scan_interval: Duration,
    /// How files are followed; `None` for the standard input.
    pub files: Option<Settings>,
    /// How lines are made.
    pub rules: LineRules,
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0).max(1)
}

impl FollowingConfig {
    fn rules(&self, long: LongLines) -> Result<LineRules> {
        let encoding = Encoding::named(&self.encoding).map_err(levada_connector_api::ConnectorError::config)?;
        Ok(LineRules { encoding, invalid: self.invalid_text, max_line: count(self.max_line_bytes), long })
    }

    fn settings(&self, key: &'static str, discovery: Discovery, rules: LineRules, unpack: bool) -> Settings {
        Settings {
            key,
            discovery,
            rules,
            unpack,
            waits: Waits { replaced: self.rotate_wait, deleted: self.delete_wait },
            idle_flush: (!self.idle_flush.is_zero()).then_some(self.idle_flush),
            max_open: count(self.max_open_files),
            retry: self.scan_interval.max(Duration::from_secs(1)),
        }
    }
}

impl TaskSettings {
    /// Of a `FileStreamSource` task.
    pub fn of_file_stream(config: &Config) -> Result<Self> {
        let typed = FileStreamSourceConfig::parse(config)?;
        let rules = typed.following.rules(typed.long_lines)?;
        let file = typed.file.filter(|file| !file.is_empty());
        // Apache's connector takes the name as it is, wildcards included, and unpacks nothing.
        let discovery = file.map(|file| Discovery::Single(file.into()));
        Ok(Self {
            topic: typed.topic,
            key: RecordKey::None,
            batch_records: count(typed.batch_size),
            batch_bytes: count(typed.following.batch_bytes),
            scan_interval: typed.following.scan_interval,
            files: discovery.map(|discovery| typed.following.settings("file", discovery, rules, false)),
            rules,
        })
    }

    /// Of a `FileSource` task.
    pub fn of_file(config: &Config) -> Result<Self> {
        let typed = FileSourceConfig::parse(config)?;
        let rules = typed.following.rules(typed.long_lines)?;
        let number = |key: &str| config.get(key).and_then(|text| text.parse::<usize>().ok());
        let (task, tasks) = (number(TASK_INDEX).unwrap_or(0), number(TASK_COUNT).unwrap_or(1).max(1));
        let discovery = Discovery::new(&typed.path, typed.exclude.as_deref(), task, tasks, count(typed.max_files))
            .map_err(levada_connector_api::ConnectorError::config)?;
        Ok(Self {
            topic: typed.topic,
            key: typed.key,
            batch_records: count(typed.batch_size),
            batch_bytes: count(typed.following.batch_bytes),
            scan_interval: typed.following.scan_interval,
            files: Some(typed.following.settings("path", discovery, rules, true)),
            rules,
        })
    }
}
