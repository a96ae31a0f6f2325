//! The connectors of the library, built once for each run of the tests.

use levada_connector_api::{
    Config, ConnectorContext, ConnectorInfo, ExactlyOnceSupport, OffsetChange, Result, SinkConnector, SinkTask,
    SourceConnector, SourceTask,
    abi::host::{Library, LibraryConnector, load},
};
use std::{path::PathBuf, process::Command, sync::LazyLock};

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    // SAFETY: the library is made from this workspace, with the macro.
    unsafe { load(&built()) }.unwrap()
});

/// Builds the library, since tests alone don't, and finds it.
fn built() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--package", env!("CARGO_PKG_NAME"), "--lib", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let artifact =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|line| {
            let files = line["filenames"].as_array()?;
            files
                .iter()
                .find_map(|file| file.as_str().filter(|file| file.ends_with("/liblevada_connector_file.so")))
                .map(PathBuf::from)
        });
    artifact.expect("cargo names the library")
}

fn connector(class: &str) -> &'static LibraryConnector {
    LIBRARY.connectors.iter().find(|known| known.info.class.ends_with(class)).unwrap()
}

macro_rules! source {
    ($name:ident, $class:literal) => {
        /// The source out of the library.
        pub struct $name(Box<dyn SourceConnector>);

        impl Default for $name {
            fn default() -> Self {
                Self(connector($class).source().unwrap())
            }
        }

        impl SourceConnector for $name {
            fn info(&self) -> ConnectorInfo {
                self.0.info()
            }
            fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
                self.0.start(context, config)
            }
            fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
                self.0.task_configs(max_tasks)
            }
            fn task(&self) -> Box<dyn SourceTask> {
                self.0.task()
            }
            fn exactly_once_support(&self, config: &Config) -> ExactlyOnceSupport {
                self.0.exactly_once_support(config)
            }
            fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
                self.0.alter_offsets(config, changes)
            }
            fn stop(&mut self) {
                self.0.stop();
            }
        }
    };
}

macro_rules! sink {
    ($name:ident, $class:literal) => {
        /// The sink out of the library.
        pub struct $name(Box<dyn SinkConnector>);

        impl Default for $name {
            fn default() -> Self {
                Self(connector($class).sink().unwrap())
            }
        }

        impl SinkConnector for $name {
            fn info(&self) -> ConnectorInfo {
                self.0.info()
            }
            fn start(&mut self, context: ConnectorContext, config: Config) -> Result<()> {
                self.0.start(context, config)
            }
            fn task_configs(&self, max_tasks: usize) -> Result<Vec<Config>> {
                self.0.task_configs(max_tasks)
            }
            fn task(&self) -> Box<dyn SinkTask> {
                self.0.task()
            }
            fn alter_offsets(&self, config: &Config, changes: &[OffsetChange]) -> Result<bool> {
                self.0.alter_offsets(config, changes)
            }
            fn stop(&mut self) {
                self.0.stop();
            }
        }
    };
}

source!(FileStreamSource, "FileStreamSourceConnector");
source!(FileSource, "FileSource");
sink!(FileStreamSink, "FileStreamSinkConnector");
sink!(FileSink, "FileSink");
