//! The destination: whole records in, a durable file out.
//!
//! Invariant: the file never keeps part of a record. A write that fails half-way is taken back, and
//! the same bytes are written again later. A failed sync is never tried again: the system may have
//! dropped what it could not write, so the task fails and starts over from what was committed.

use super::recovery::{Mark, Present, TAIL, path_hash};
use crate::{
    hash::hash,
    tail::{FileId, id_of},
};
use levada_connector_api::{ConnectorError, Result};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Where lines go.
pub enum Target {
    /// A file.
    File(Destination),
    /// The standard output.
    Standard(Box<dyn Write + Send>),
}

/// An open file that only this task writes to, or that is appended to beside others.
pub struct Destination {
    key: &'static str,
    path: PathBuf,
    file: File,
    id: FileId,
    /// Length that this task knows of; `None` when others may append too.
    len: Option<u64>,
    unsynced: bool,
    /// Whether the directory entry may not be durable: whoever made the file may not have synced it.
    entry_unsynced: bool,
    /// Whether it is a file, not a device: only files can be synced and cut.
    regular: bool,
    /// Set once a sync failed.
    broken: Option<String>,
}

/// An error about the file: the key, the path, the cause and the mend.
pub fn file_error(key: &str, path: &Path, error: &io::Error) -> ConnectorError {
    let shown = path.display();
    let what = format!("`{key}` names {shown}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ConnectorError::retriable(format!(
            "{what}, whose disk or quota is full; free some space, and the task goes on by itself"
        )),
        io::ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path).display();
            ConnectorError::config(format!("{what}, but the directory {directory} does not exist; create it"))
        }
        io::ErrorKind::IsADirectory => {
            ConnectorError::config(format!("{what}, which is a directory; name a file in it"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ConnectorError::config(format!(
            "{what}, which can't be written ({error}); give the user that the daemon runs as the right to write it"
        )),
        _ => ConnectorError::fatal(format!("{what}, which can't be written: {error}")),
    }
}

/// The file as it is, without making one. `None` when there is none.
pub fn look(key: &str, path: &Path) -> Result<Option<Present>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(file_error(key, path, &io::Error::from(io::ErrorKind::IsADirectory))),
        Ok(metadata) => Ok(Some(Present { id: id_of(&metadata), len: metadata.len() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = directory_of(path);
            match fs::metadata(&directory) {
                Ok(metadata) if metadata.is_dir() => Ok(None),
                _ => Err(file_error(key, path, &error)),
            }
        }
        Err(error) => Err(file_error(key, path, &error)),
    }
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Checksum of the bytes before `len`, [`TAIL`] of them or all there are.
pub fn tail_of(path: &Path, len: u64) -> io::Result<u64> {
    checksum(&File::open(path)?, len)
}

fn checksum(file: &File, len: u64) -> io::Result<u64> {
    let mut bytes = vec![0; len.min(TAIL) as usize];
    let start = len - bytes.len() as u64;
    file.read_exact_at(&mut bytes, start)?;
    Ok(hash(&bytes))
}

/// Some file systems have no locks; there the check of the length before each write is all there is.
fn lock(file: &File, alone: bool) -> std::result::Result<(), TryLockError> {
    match if alone { file.try_lock() } else { file.try_lock_shared() } {
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        outcome => outcome,
    }
}

impl Destination {
    /// Opens or makes the file. `alone` says that nobody else writes to it; `cut_to` cuts it first. What holds a regular
    /// file alone keeps others of its kind, and those that append, away from it by a lock (flock(2)).
    pub fn open(key: &'static str, path: &Path, alone: bool, cut_to: Option<u64>) -> Result<Self> {
        let fail = |error: io::Error| file_error(key, path, &error);
        let mut options = OpenOptions::new();
        options.create(true).read(alone).mode(0o644);
        if alone {
            options.write(true).truncate(false)
        } else {
            options.append(true)
        };
        let file = options.open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if alone && !metadata.is_file() {
            return Err(ConnectorError::config(format!(
                "`{key}` names {}, which is no regular file; only those can be exactly-once",
                path.display()
            )));
        }
        if metadata.is_file() {
            lock(&file, alone).map_err(|error| match error {
                TryLockError::WouldBlock => ConnectorError::retriable(format!(
                    "`{key}` names {}, which another connector or program holds for writing; a file whose lines are written \
                     exactly once has one writer, so give this connector a file of its own",
                    path.display()
                )),
                TryLockError::Error(error) => fail(error),
            })?;
        }
        let mut len = metadata.len();
        let cut = cut_to.filter(|to| *to < len);
        if let Some(to) = cut {
            file.set_len(to).map_err(fail)?;
            len = to;
        }
        Ok(Self {
            key,
            path: path.to_owned(),
            id: id_of(&metadata),
            file,
            len: alone.then_some(len),
            unsynced: cut.is_some(),
            regular: metadata.is_file(),
            entry_unsynced: true,
            broken: None,
        })
    }

    /// Appends whole records. After an error the file is as it was before.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.check()?;
        let before = self.file.metadata().map_err(|error| self.error(&error))?.len();
        if self.len.is_some_and(|len| len != before) {
            let expected = self.len.unwrap_or(0);
            let text = format!(
                "`{}` names {}, which another program changed: it has {before} bytes instead of {expected}; with \
                 `exactly.once` no other program may write to it",
                self.key,
                self.path.display()
            );
            self.broken = Some(text.clone());
            return Err(ConnectorError::fatal(text));
        }
        self.unsynced = true;
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let result = match self.len {
                Some(len) => self.file.write_at(rest, len + written as u64),
                None => self.file.write(rest),
            };
            match result {
                Ok(0) => return Err(self.take_back(before, written, &io::Error::from(io::ErrorKind::WriteZero))),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.take_back(before, written, &error)),
            }
        }
        self.len = self.len.map(|len| len + written as u64);
        Ok(())
    }

    /// Undoes part of a write, unless others have written behind it.
    fn take_back(&mut self, before: u64, written: usize, error: &io::Error) -> ConnectorError {
        let ours_is_last = self.file.metadata().is_ok_and(|metadata| metadata.len() == before + written as u64);
        if written > 0
            && ours_is_last
            && let Err(error) = self.file.set_len(before)
        {
            let error = self.error(&error);
            self.broken = Some(error.message.clone());
            return ConnectorError::fatal(error.message);
        }
        self.error(error)
    }

    /// Makes everything durable (invariant 7): the content, and the directory entry of a new file.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        if self.unsynced && self.regular {
            self.file.sync_data().map_err(|error| self.sync_failed("the file", &error))?;
            self.unsynced = false;
        }
        if self.entry_unsynced && self.regular {
            let synced = File::open(directory_of(&self.path)).and_then(|directory| directory.sync_all());
            synced.map_err(|error| self.sync_failed("its directory", &error))?;
            self.entry_unsynced = false;
        }
        Ok(())
    }

    /// The state to store with the offsets.
    pub fn mark(&self) -> Result<Option<Mark>> {
        let Some(len) = self.len else { return Ok(None) };
        let tail = checksum(&self.file, len).map_err(|error| self.error(&error))?;
        let path = path_hash(&self.path.to_string_lossy());
        Ok(Some(Mark { len, id: self.id, tail, path }))
    }

    fn check(&self) -> Result<()> {
        match &self.broken {
            Some(text) => Err(ConnectorError::fatal(text.clone())),
            None => Ok(()),
        }
    }

    fn sync_failed(&mut self, what: &str, error: &io::Error) -> ConnectorError {
        let text = format!(
            "`{}` names {}: {what} could not be synced to disk: {error}; restart the task once the disk is well, it \
             starts from what was committed last",
            self.key,
            self.path.display()
        );
        self.broken = Some(text.clone());
        ConnectorError::fatal(text)
    }

    fn error(&self, error: &io::Error) -> ConnectorError {
        file_error(self.key, &self.path, error)
    }
}

impl Target {
    /// Writes whole records.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Standard(out) => out.write_all(bytes).map_err(|error| standard_error(&error)),
        }
    }

    /// Makes them durable, as far as the target can.
    pub fn sync(&mut self) -> Result<()> {
        match self {
            Self::File(file) => file.sync(),
            Self::Standard(out) => out.flush().map_err(|error| standard_error(&error)),
        }
    }

    /// The state to store with the offsets, if the target has one.
    pub fn mark(&self) -> Result<Option<Mark>> {
        match self {
            Self::File(file) => file.mark(),
            Self::Standard(_) => Ok(None),
        }
    }
}

fn standard_error(error: &io::Error) -> ConnectorError {
    ConnectorError::fatal(format!("the standard output can't be written: {error}"))
}
