//! Looks through `plugin.path`. Called once, at start; blocks, so not on the async runtime.
//!
//! Each file is loaded in a child process of its own first (invariant 9: nothing a plugin contains hurts the
//! node), a few at a time, each with a limit on its time, output and memory.

use super::report::{self, Report, ScannedClass};
use levada_env::{
    Disk,
    disk::FileKind,
    process::{self, Ended},
    thread,
};
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Command of the child.
pub const SCAN_COMMAND: &str = "plugin-scan";
/// Address space of a child: generous for a library, far from a machine's memory.
const SCAN_MEMORY: u64 = 4 << 30;
/// Children at a time.
const SCANS_AT_ONCE: usize = 4;
/// Bytes that a child may print.
const MOST_OUTPUT: u64 = 4 << 20;
/// Files that are looked at.
const MOST_FILES: usize = 1000;

/// How files are scanned.
#[derive(Clone, Debug)]
pub struct Scanner {
    /// The `levada` program, which is started once for each file.
    pub program: PathBuf,
    /// Longest time for one file.
    pub timeout: Duration,
}

/// A file of `plugin.path` and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The file, or the directory when that could not be read.
    pub path: PathBuf,
    /// Its classes, or why it is no connector library.
    pub report: Report,
}

impl Scanner {
    /// Scans the libraries in `directories` and in their direct subdirectories, in that order and by name.
    pub fn scan(&self, disk: &dyn Disk, directories: &[PathBuf]) -> Vec<Scanned> {
        let files = Arc::new(libraries(disk, directories));
        let (next, found) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let work = {
            let (scanner, files, found) = (self.clone(), Arc::clone(&files), Arc::clone(&found));
            move || {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = match file {
                        Ok(path) => scanner.scan_file(path),
                        Err((_, reason)) => Err(reason.clone()),
                    };
                    let (Ok(path) | Err((path, _))) = file;
                    found.lock().push(Scanned { path: path.clone(), report });
                }
            }
        };
        let helpers =
            (1..SCANS_AT_ONCE.min(files.len())).filter_map(|_| thread::spawn("plugin-scan", work.clone()).ok());
        let helpers: Vec<_> = helpers.collect();
        work();
        for helper in helpers {
            // It holds no lock while it does anything that could panic.
            let _ = helper.join();
        }
        let mut found = std::mem::take(&mut *found.lock());
        let place = |scanned: &Scanned| {
            files.iter().position(|file| matches!(file, Ok(path) | Err((path, _)) if *path == scanned.path))
        };
        found.sort_by_key(place);
        found
    }

    fn scan_file(&self, file: &Path) -> Report {
        let millis = self.timeout.as_millis();
        let arguments = [SCAN_COMMAND.as_ref(), "--timeout-ms".as_ref(), millis.to_string().as_ref(), file.as_os_str()]
            .map(std::ffi::OsStr::to_owned);
        let outcome = process::run_bounded(&self.program, arguments, self.timeout, MOST_OUTPUT)
            .map_err(|cause| format!("the process that looks at it could not be started: {cause}"))?;
        match (outcome.ended, report::read(&outcome.output)) {
            // A library that crashes when the process ends is as bad as one that crashes before.
            (Ended::Exited(0), Some(report)) => report,
            (Ended::Exited(code), _) => Err(format!("it ended the process that loaded it (exit code {code})")),
            (Ended::Signalled(signal), _) => {
                Err(format!("it crashed the process that loaded it (signal {signal}{})", signal_name(signal)))
            }
            (Ended::TimedOut, _) => Err(format!("loading it did not end within plugin.scan.timeout.ms={millis}")),
            (Ended::Flooded, _) => Err(format!("it printed more than {MOST_OUTPUT} bytes while it was loaded")),
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => ", SIGILL",
        6 => ", SIGABRT",
        7 => ", SIGBUS",
        8 => ", SIGFPE",
        9 => ", SIGKILL",
        11 => ", SIGSEGV",
        _ => "",
    }
}

/// Files that may be libraries, and directories that can't be read with the cause.
fn libraries(disk: &dyn Disk, directories: &[PathBuf]) -> Vec<Result<PathBuf, (PathBuf, String)>> {
    let mut files = Vec::new();
    for directory in directories {
        let subdirectories = add_directory(disk, directory, &mut files);
        for subdirectory in subdirectories {
            add_directory(disk, &subdirectory, &mut files);
        }
    }
    if files.len() > MOST_FILES {
        files.truncate(MOST_FILES);
        let reason = format!("plugin.path holds more than {MOST_FILES} libraries; the rest was not looked at");
        files.extend(directories.last().map(|last| Err((last.clone(), reason))));
    }
    files
}

/// Adds what is in a directory, and gives its subdirectories.
fn add_directory(
    disk: &dyn Disk,
    directory: &Path,
    files: &mut Vec<Result<PathBuf, (PathBuf, String)>>,
) -> Vec<PathBuf> {
    let entries = match disk.read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) => {
            files.push(Err((directory.to_owned(), format!("the directory can't be read: {cause}"))));
            return Vec::new();
        }
    };
    let mut subdirectories = Vec::new();
    for entry in entries {
        let path = directory.join(&entry.name);
        if entry.kind == FileKind::Dir {
            subdirectories.push(path);
        } else if path.extension().is_some_and(|extension| extension == "so") {
            files.push(Ok(path));
        }
    }
    subdirectories
}

/// The child's side: bounds itself and answers on what it printed.
pub fn scan_in_this_process(file: &Path, timeout: Duration) -> String {
    // The parent kills it at `timeout`; this is for when there is no parent any more. A process that can't bound
    // itself still answers.
    if let Err(cause) = process::bound_own_process(SCAN_MEMORY, timeout.saturating_mul(2)) {
        tracing::debug!(%cause, "the scan runs without bounds");
    }
    report::write(file)
}

/// Classes for a text: `A, B`.
pub(super) fn names(classes: &[ScannedClass]) -> String {
    classes.iter().map(|class| class.class.as_str()).collect::<Vec<_>>().join(", ")
}
