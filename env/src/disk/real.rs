//! The machine's own file system.

use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;

use super::file_system::RealFileSystem;
use super::pool::Pool;
use super::{
    Advice, DirEntry, Disk, DiskFile, DiskLock, FileKind, FileSystem, Gate, IoClass, Job, Metadata, OpenOptions,
};
use crate::time::Duration;

/// Distance of the bytes looked at to tell whether a range is in memory.
const CACHE_PROBE: usize = 128 << 10;

/// More slices than this in one pwritev are refused by Linux.
const MAX_SLICES: usize = 1024;
const SYNC_THREADS: usize = 8;
const READ_THREADS: usize = 4;
const MAINTENANCE_THREADS: usize = 2;
const COMPUTE_THREADS: usize = 2;

/// Files of the operating system, with lazily started threads for submitted jobs.
#[derive(Debug)]
pub struct RealDisk {
    append: Mutex<Vec<(u16, Arc<Pool>)>>,
    sync: Pool,
    read: Pool,
    maintenance: Pool,
    compute: Pool,
}

impl RealDisk {
    /// No thread is started before the first job.
    pub fn new() -> Self {
        Self {
            append: Mutex::default(),
            sync: Pool::new("log-sync", SYNC_THREADS),
            read: Pool::new("log-read", READ_THREADS),
            maintenance: Pool::new("log-maint", MAINTENANCE_THREADS),
            compute: Pool::new("log-compute", COMPUTE_THREADS),
        }
    }

    fn append_pool(&self, lane: u16) -> Arc<Pool> {
        let mut pools = self.append.lock();
        if let Some((_, pool)) = pools.iter().find(|(have, _)| *have == lane) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(&format!("log-append-{lane}"), 1));
        pools.push((lane, Arc::clone(&pool)));
        pool
    }
}

impl Default for RealDisk {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl DiskLock for RealLock {}

fn kind_of(file_type: fs::FileType) -> FileKind {
    if file_type.is_file() {
        FileKind::File
    } else if file_type.is_dir() {
        FileKind::Dir
    } else {
        FileKind::Other
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn DiskFile>> {
        let write = options.write || options.create || options.create_new || options.truncate;
        let file = File::options()
            .read(true)
            .write(write)
            .create(options.create)
            .create_new(options.create_new)
            .truncate(options.truncate)
            .open(path)?;
        Ok(Arc::new(RealFile { file }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, kind: kind_of(entry.file_type()?) });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        Ok(Metadata { kind: kind_of(metadata.file_type()), len: metadata.len(), modified_ms: modified })
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>> {
        Ok(Arc::new(RealFileSystem::open(dir)?))
    }

    fn wait_at(&self, gate: &Gate, limit: Duration) {
        gate.wait(limit);
    }

    fn submit(&self, class: IoClass, job: Job) {
        match class {
            IoClass::Append { lane } => self.append_pool(lane).submit(job),
            IoClass::Sync => self.sync.submit(job),
            IoClass::Read => self.read.submit(job),
            IoClass::Maintenance => self.maintenance.submit(job),
            IoClass::Compute => self.compute.submit(job),
        }
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let slices = slices.get(..MAX_SLICES).unwrap_or(slices);
        Ok(rustix::io::pwritev(&self.file, slices, offset)?)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(out, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn advise(&self, offset: u64, len: u64, advice: Advice) {
        let advice = match advice {
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
            Advice::Sequential => rustix::fs::Advice::Sequential,
        };
        // Only a hint: a file system that does not know it changes nothing.
        let _ = rustix::fs::fadvise(&self.file, offset, NonZeroU64::new(len), advice);
    }

    fn is_cached(&self, offset: u64, len: u64) -> bool {
        let last = (offset + len).saturating_sub(1);
        let mut byte = [0];
        (offset..last).step_by(CACHE_PROBE).chain([last]).all(|position| {
            let buffer = &mut [IoSliceMut::new(&mut byte)];
            rustix::io::preadv2(&self.file, buffer, position, rustix::io::ReadWriteFlags::NOWAIT).is_ok()
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_more_slices_than_one_call_takes() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new();
        let file = disk.open(&dir.path().join("f"), OpenOptions::CREATE).unwrap();
        let parts: Vec<[u8; 3]> = (0..3000u32).map(|i| [i as u8, (i >> 8) as u8, 7]).collect();
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        file.write_all_vectored_at(&mut slices, 5).unwrap();
        let data = disk.read_file(&dir.path().join("f"), 1 << 20).unwrap();
        assert_eq!(data.len(), 5 + 9000);
        assert_eq!(&data[5..], parts.concat());
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let disk = RealDisk::new();
        let held = disk.lock_exclusive(&path).unwrap();
        assert_eq!(RealDisk::new().lock_exclusive(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        disk.lock_exclusive(&path).unwrap();
    }

    #[test]
    fn atomic_replacement_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new();
        let path = dir.path().join("checkpoint");
        disk.write_file_atomic(&path, b"one").unwrap();
        disk.write_file_atomic(&path, b"two").unwrap();
        assert_eq!(disk.read_file(&path, 100).unwrap(), b"two");
        assert_eq!(disk.read_dir(dir.path()).unwrap().len(), 1);
        assert!(disk.available_space(dir.path()).unwrap() > 0);
    }

    #[tokio::test]
    async fn a_job_gives_its_value_and_a_panicking_one_is_told() {
        let disk = RealDisk::new();
        assert_eq!(super::super::run(&disk, IoClass::Append { lane: 3 }, || 42).await, Ok(42));
        let lost: Result<(), _> = super::super::run(&disk, IoClass::Sync, || panic!("expected by the test")).await;
        assert!(lost.is_err());
    }
}
