//! A directory, files in it, and sources over them.

use levada_connector_api::{
    Config, Result, SourceConnector,
    testkit::{Offsets, SourceRun, config},
};
use levada_connector_file::{FileSource, FileStreamSource};
use serde_json::json;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
};

/// A temporary directory and what sources have committed of it.
pub struct World {
    directory: tempfile::TempDir,
    pub offsets: Offsets,
}

impl World {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), offsets: Offsets::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    pub fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// The position that is committed for a file.
    pub fn position(&self, name: &str) -> Option<i64> {
        let partition = json!({"filename": self.text(name)});
        self.offsets.get(partition.as_object().unwrap()).and_then(|offset| offset["position"].as_i64())
    }

    /// Apache's class on one file.
    pub fn stream(&self, name: &str, more: &[(&str, &str)]) -> SourceRun {
        self.try_run(&mut FileStreamSource::default(), "file", name, more).unwrap()
    }

    /// Levada's class on a file or pattern.
    pub fn files(&self, pattern: &str, more: &[(&str, &str)]) -> SourceRun {
        self.try_run(&mut FileSource::default(), "path", pattern, more).unwrap()
    }

    pub fn try_run(
        &self,
        source: &mut dyn SourceConnector,
        key: &str,
        name: &str,
        more: &[(&str, &str)],
    ) -> Result<SourceRun> {
        SourceRun::start(source, self.config(key, name, more), &self.offsets)
    }

    pub fn config(&self, key: &str, name: &str, more: &[(&str, &str)]) -> Config {
        let path = self.text(name);
        // Short waits, so that tests of rotation end soon; none of them looks at how long it took.
        let quick = [("scan.interval.ms", "10"), ("rotate.wait.ms", "50"), ("delete.wait.ms", "20")];
        let given = [(key, path.as_str()), ("topic", "lines")];
        config(quick.into_iter().chain(given).chain(more.iter().copied()))
    }
}

/// `prefix-0` to `prefix-{count - 1}`, as lines.
pub fn lines(prefix: &str, count: usize) -> String {
    texts(prefix, count).into_iter().map(|line| line + "\n").collect()
}

/// The same as the texts of records.
pub fn texts(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}
