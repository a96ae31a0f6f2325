//! The disk seam: synchronous file operations, and [`Disk::submit`], which runs a piece of work that uses them off the async runtime.
//!
//! The log calls file operations only inside submitted jobs (or at start-up). The real disk ([`RealDisk`]) runs jobs on its own threads;
//! the simulated one ([`crate::sim::SimDisk`]) runs them as tasks of the current runtime after a seeded delay.

mod file_system;
mod gate;
mod pool;
mod real;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use file_system::FileSystem;
pub use gate::Gate;
pub use real::RealDisk;

use crate::time::Duration;

/// A piece of disk work. It must not wait for another job.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Which threads a job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IoClass {
    /// Writes of log directory `lane`, in the order submitted: one thread per lane.
    Append {
        /// Index of the log directory.
        lane: u16,
    },
    /// fsync and fdatasync.
    Sync,
    /// Reads that may miss the page cache.
    Read,
    /// Retention, cleaning, checkpoints, recovery.
    Maintenance,
    /// Work on data in memory that takes longer than a task of the async runtime may.
    Compute,
}

/// How to open a file. All files are opened for reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Also for writing.
    pub write: bool,
    /// Create it if it does not exist (implies write).
    pub create: bool,
    /// Fail if it exists (implies create).
    pub create_new: bool,
    /// Cut to length 0 (implies write).
    pub truncate: bool,
}

impl OpenOptions {
    /// Reading an existing file.
    pub const READ: Self = Self { write: false, create: false, create_new: false, truncate: false };
    /// Reading and writing an existing file.
    pub const WRITE: Self = Self { write: true, create: false, create_new: false, truncate: false };
    /// Reading and writing, made if missing, kept if there.
    pub const CREATE: Self = Self { write: true, create: true, create_new: false, truncate: false };
    /// Reading and writing a new empty file, whatever was there.
    pub const REPLACE: Self = Self { write: true, create: true, create_new: false, truncate: true };
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else.
    Other,
}

/// One entry of [`Disk::read_dir`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Name inside the directory. Names that are not UTF-8 are left out of listings.
    pub name: String,
    /// Kind of entry.
    pub kind: FileKind,
}

/// What [`Disk::metadata`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Kind of entry.
    pub kind: FileKind,
    /// Length in bytes.
    pub len: u64,
    /// Last change of the content, milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

/// Advice on how a range will be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Read it ahead.
    WillNeed,
    /// Drop it from the page cache.
    DontNeed,
    /// It is read from front to back.
    Sequential,
}

/// A lock on a directory or file, held until dropped (or the process ends).
pub trait DiskLock: Send + Sync + Debug {}

/// File operations and the threads to run them on.
pub trait Disk: Send + Sync + Debug + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory and its missing parents. The caller syncs the parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Lists a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Renames atomically, replacing a file that is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all that is in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Kind, length and time of a path.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Bytes that this process may still write below `path`.
    fn available_space(&self, path: &Path) -> io::Result<u64>;
    /// Takes an exclusive lock on the file `path`, made if missing. `WouldBlock` when another holds it.
    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// The file system the directory `dir` is on, for syncing all of it at once; `Unsupported`, with the cause, where that is not to be relied
    /// upon. Open it before anything is written there.
    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>>;
    /// Runs `job` on the threads of `class`. Returns at once.
    fn submit(&self, class: IoClass, job: Job);
    /// Called by a job: holds its thread until `gate` is opened, at most for `limit`. A simulated disk does not wait, for its jobs run one
    /// at a time; they come late as it is.
    fn wait_at(&self, gate: &Gate, limit: Duration);

    /// Reads a whole file of at most `limit` bytes.
    fn read_file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenOptions::READ)?;
        let len = file.len()?;
        if len > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} has {len} bytes, limit {limit}", path.display()),
            ));
        }
        let mut data = vec![0; len as usize];
        file.read_exact_at(&mut data, 0)?;
        Ok(data)
    }

    /// Replaces `path` so that after a crash either the old or the new content is there, durably: temporary file, fsync, rename, fsync of
    /// the directory.
    fn write_file_atomic(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let mut temp = path.as_os_str().to_owned();
        temp.push(".tmp");
        let temp = PathBuf::from(temp);
        let file = self.open(&temp, OpenOptions::REPLACE)?;
        file.write_all_at(data, 0)?;
        file.sync_all()?;
        self.rename(&temp, path)?;
        match path.parent() {
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }

    /// Whether something is at `path`.
    fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }
}

/// An open file. Offsets are explicit; there is no cursor.
pub trait DiskFile: Send + Sync + Debug + 'static {
    /// Writes what it can of `slices` at `offset`; may write less.
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Reads up to `out.len()` bytes; 0 at the end of the file.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) to `len`.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes the content and the length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes the content and all metadata durable.
    fn sync_all(&self) -> io::Result<()>;
    /// Hint on use; never fails.
    fn advise(&self, offset: u64, len: u64, advice: Advice);
    /// Whether the range is probably in memory, so that reading it does not wait for the disk. Looks at some of it only.
    fn is_cached(&self, offset: u64, len: u64) -> bool {
        let _ = (offset, len);
        true
    }
    /// The descriptor, for sendfile; `None` where there is no kernel file.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Writes all of `slices`; on error an unknown part of them is written.
    fn write_all_vectored_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let (mut slices, mut offset) = (slices, offset);
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.write_vectored_at(slices, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `data`.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_vectored_at(&mut [IoSlice::new(data)], offset)
    }

    /// Fills `out` or fails with `UnexpectedEof`.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => done += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// The job went away without finishing: it panicked, or the disk (or the simulated node) is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("disk work was lost: it panicked or the disk is shutting down")]
pub struct JobLost;

/// Runs `work` on the threads of `class` and gives its value.
pub async fn run<T: Send + 'static>(
    disk: &dyn Disk,
    class: IoClass,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JobLost> {
    let (tx, rx) = tokio::sync::oneshot::channel();
    disk.submit(
        class,
        Box::new(move || {
            // The caller may have gone; the work is done all the same.
            let _ = tx.send(work());
        }),
    );
    rx.await.map_err(|_| JobLost)
}
