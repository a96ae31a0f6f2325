//! A disk in memory that forgets at a crash what was not synced, and fails when told to.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::file_system::SimFileSystem;
use super::tree::{DirOp, Node, State, has_parent};
use crate::disk::{
    Advice, DirEntry, Disk, DiskFile, DiskLock, FileKind, FileSystem, Gate, IoClass, Job, Metadata, OpenOptions,
};
use crate::rng::{Rng, SeededRng};
use crate::time::Duration;

/// Faults to inject. All off by default.
#[derive(Debug, Clone, Default)]
pub struct SimFaults {
    /// Bytes the disk holds; a write past it is cut short and then fails with ENOSPC.
    pub capacity: Option<u64>,
    /// The next so many writes fail with EIO.
    pub fail_writes: u32,
    /// The next so many syncs of files, directories or the whole file system fail with EIO.
    pub fail_syncs: u32,
    /// The next so many reads fail with EIO.
    pub fail_reads: u32,
    /// Writes are cut short now and then; the caller has to go on.
    pub short_writes: bool,
    /// Syncs say they succeeded and do nothing: for showing that a test notices.
    pub ignore_syncs: bool,
    /// The next so many writes fail with ENOSPC, whatever space there was when it was asked for.
    pub refuse_writes: u32,
    /// The next so many truncations fail with ENOSPC, as they may on file systems that never overwrite.
    pub refuse_truncations: u32,
    /// Append jobs wait while this is set: a disk that hangs.
    pub stall_appends: bool,
}

/// The simulated disk. See [`crate::sim`].
#[derive(Debug)]
pub struct SimDisk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    rng: SeededRng,
    pub(super) state: Mutex<State>,
    pub(super) faults: Mutex<SimFaults>,
    locks: Mutex<BTreeSet<PathBuf>>,
    trace: Mutex<Trace>,
    dead: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct Trace {
    hasher: DefaultHasher,
    operations: u64,
    lines: Option<Vec<String>>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self::with_state(seed, State::default(), SimFaults::default())
    }

    fn with_state(seed: u64, state: State, faults: SimFaults) -> Self {
        let inner = Inner {
            rng: SeededRng::new(seed),
            state: Mutex::new(state),
            faults: Mutex::new(faults),
            locks: Mutex::default(),
            trace: Mutex::default(),
            dead: false.into(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Power loss. This disk fails every operation and runs no job from now on; the answer is the disk the next start finds. Faults that
    /// were set stay set.
    pub fn crash(&self, seed: u64) -> Self {
        self.inner.dead.store(true, std::sync::atomic::Ordering::SeqCst);
        let rng = SeededRng::new(seed);
        let state = self.inner.state.lock().after_crash(&rng);
        Self::with_state(rng.next_u64(), state, self.inner.faults.lock().clone())
    }

    /// Changes the faults to inject.
    pub fn faults(&self, change: impl FnOnce(&mut SimFaults)) {
        change(&mut self.inner.faults.lock());
    }

    /// A digest of every operation so far with its arguments and order: equal for equal seeds.
    pub fn trace_digest(&self) -> (u64, u64) {
        let trace = self.inner.trace.lock();
        (trace.operations, trace.hasher.finish())
    }

    /// Starts to keep the trace as text.
    pub fn keep_trace(&self) {
        self.inner.trace.lock().lines.get_or_insert_default();
    }

    /// The trace kept so far.
    pub fn take_trace(&self) -> Vec<String> {
        self.inner.trace.lock().lines.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Damages a file in place, as a bad disk would: no trace, no sync needed.
    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.inner.state.lock();
        let Some(Node::File(id)) = state.tree.get(path).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        let Some(inode) = state.inodes.get_mut(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        let mut content = inode.current.clone();
        change(&mut content);
        inode.truncate(0);
        inode.write(0, &content);
        inode.sync();
        Ok(())
    }
}

impl Inner {
    pub(super) fn alive(&self, what: &str, path: &Path, a: u64, b: u64) -> io::Result<()> {
        if self.dead.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("the simulated machine has lost power"));
        }
        let mut trace = self.trace.lock();
        trace.operations += 1;
        (what, path, a, b).hash(&mut trace.hasher);
        if let Some(lines) = &mut trace.lines {
            lines.push(format!("{what} {} {a} {b}", path.display()));
        }
        Ok(())
    }

    pub(super) fn fail(&self, pick: impl FnOnce(&mut SimFaults) -> &mut u32) -> io::Result<()> {
        let mut faults = self.faults.lock();
        let left = pick(&mut faults);
        if *left > 0 {
            *left -= 1;
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        Ok(())
    }

    /// How much of `len` bytes at `offset` of a file with `size` bytes fits.
    fn room(&self, state: &State, size: u64, offset: u64, len: u64) -> io::Result<u64> {
        let Some(capacity) = self.faults.lock().capacity else { return Ok(len) };
        let growth_left = capacity.saturating_sub(state.used());
        let fits = (size + growth_left).saturating_sub(offset).min(len);
        if fits == 0 && len > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(fits)
    }
}

#[derive(Debug)]
struct SimLock {
    inner: Arc<Inner>,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.inner.locks.lock().remove(&self.path);
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.alive("open", path, 0, 0)?;
        let mut state = self.inner.state.lock();
        let id = match state.tree.get(path).copied() {
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) if options.create_new => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(Node::File(id)) => id,
            None if (options.create || options.create_new) && has_parent(&state.tree, path) => {
                let id = state.new_inode();
                state.change(DirOp::Create { path: path.to_owned(), node: Node::File(id) });
                id
            }
            None => return Err(not_found(path)),
        };
        if options.truncate
            && let Some(inode) = state.inodes.get_mut(&id)
        {
            inode.truncate(0);
        }
        Ok(Arc::new(SimFile { inner: Arc::clone(&self.inner), id, path: path.to_owned() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.alive("mkdir", path, 0, 0)?;
        let mut state = self.inner.state.lock();
        let mut missing: Vec<&Path> = Vec::new();
        for dir in path.ancestors() {
            if dir.as_os_str().is_empty() || dir.parent().is_none() {
                break;
            }
            match state.tree.get(dir) {
                Some(Node::Dir) => break,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => missing.push(dir),
            }
        }
        for dir in missing.into_iter().rev() {
            state.change(DirOp::Create { path: dir.to_owned(), node: Node::Dir });
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.alive("list", path, 0, 0)?;
        let state = self.inner.state.lock();
        if state.tree.get(path) != Some(&Node::Dir) {
            return Err(not_found(path));
        }
        let mut entries = Vec::new();
        for (child, node) in state.tree.range(path.to_owned()..).take_while(|(child, _)| child.starts_with(path)) {
            if child.parent() == Some(path)
                && let Some(name) = child.file_name().and_then(|name| name.to_str())
            {
                let kind = if matches!(node, Node::Dir) { FileKind::Dir } else { FileKind::File };
                entries.push(DirEntry { name: name.to_owned(), kind });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.alive("rename", to, 0, 0)?;
        let mut state = self.inner.state.lock();
        if !state.tree.contains_key(from) || !has_parent(&state.tree, to) {
            return Err(not_found(from));
        }
        state.change(DirOp::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.alive("remove", path, 0, 0)?;
        let mut state = self.inner.state.lock();
        match state.tree.get(path) {
            Some(Node::File(_)) => state.change(DirOp::Remove { path: path.to_owned() }),
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(not_found(path)),
        }
        state.collect();
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.alive("remove-dir", path, 0, 0)?;
        let mut state = self.inner.state.lock();
        let mut inside: Vec<PathBuf> = state.tree.keys().filter(|child| child.starts_with(path)).cloned().collect();
        if inside.is_empty() {
            return Err(not_found(path));
        }
        // Children before their directory, each its own change: a crash may leave it half removed.
        inside.reverse();
        for path in inside {
            state.change(DirOp::Remove { path });
        }
        state.collect();
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.alive("sync-dir", path, 0, 0)?;
        self.inner.fail(|faults| &mut faults.fail_syncs)?;
        if !self.inner.faults.lock().ignore_syncs {
            self.inner.state.lock().sync_dir(path);
        }
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.inner.alive("stat", path, 0, 0)?;
        let state = self.inner.state.lock();
        match state.tree.get(path) {
            None => Err(not_found(path)),
            Some(Node::Dir) => Ok(Metadata { kind: FileKind::Dir, len: 0, modified_ms: 0 }),
            Some(Node::File(id)) => {
                let len = state.inodes.get(id).map_or(0, |inode| inode.current.len() as u64);
                Ok(Metadata { kind: FileKind::File, len, modified_ms: 0 })
            }
        }
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.alive("statfs", path, 0, 0)?;
        let used = self.inner.state.lock().used();
        Ok(self.inner.faults.lock().capacity.map_or(1 << 50, |capacity| capacity.saturating_sub(used)))
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.open(path, OpenOptions::CREATE)?;
        if !self.inner.locks.lock().insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { inner: Arc::clone(&self.inner), path: path.to_owned() }))
    }

    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>> {
        self.inner.alive("file-system", dir, 0, 0)?;
        Ok(Arc::new(SimFileSystem { inner: Arc::clone(&self.inner) }))
    }

    fn wait_at(&self, _gate: &Gate, _limit: Duration) {}

    /// Runs the job as a task after a delay that depends on the seed and the class, so that jobs of different partitions overlap and
    /// overtake each other; each log has at most one job of a kind in flight, so its own order holds.
    fn submit(&self, class: IoClass, job: Job) {
        let micros = match class {
            IoClass::Append { .. } => self.inner.rng.below(300),
            IoClass::Sync => 200 + self.inner.rng.below(10_000),
            IoClass::Read | IoClass::Maintenance | IoClass::Compute => self.inner.rng.below(1000),
        };
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            crate::time::sleep(Duration::from_micros(micros)).await;
            while matches!(class, IoClass::Append { .. }) && inner.faults.lock().stall_appends {
                crate::time::sleep(Duration::from_millis(1)).await;
            }
            if !inner.dead.load(std::sync::atomic::Ordering::SeqCst) {
                job();
            }
        });
    }
}

#[derive(Debug)]
struct SimFile {
    inner: Arc<Inner>,
    id: u64,
    path: PathBuf,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        self.inner.alive("sync", &self.path, 0, 0)?;
        self.inner.fail(|faults| &mut faults.fail_syncs)?;
        if !self.inner.faults.lock().ignore_syncs
            && let Some(inode) = self.inner.state.lock().inodes.get_mut(&self.id)
        {
            inode.sync();
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let data: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.inner.alive("write", &self.path, offset, data.len() as u64)?;
        self.inner.fail(|faults| &mut faults.fail_writes)?;
        self.inner.fail(|faults| &mut faults.refuse_writes).map_err(|_| io::ErrorKind::StorageFull)?;
        let short = self.inner.faults.lock().short_writes && self.inner.rng.below(4) == 0;
        let mut state = self.inner.state.lock();
        let size = state.inodes.get(&self.id).map_or(0, |inode| inode.current.len() as u64);
        let mut fits = self.inner.room(&state, size, offset, data.len() as u64)? as usize;
        if short && fits > 1 {
            fits = 1 + self.inner.rng.below(fits as u64 - 1) as usize;
        }
        if let Some(inode) = state.inodes.get_mut(&self.id) {
            inode.write(offset as usize, data.get(..fits).unwrap_or_default());
        }
        Ok(fits)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.alive("read", &self.path, offset, out.len() as u64)?;
        self.inner.fail(|faults| &mut faults.fail_reads)?;
        let state = self.inner.state.lock();
        let content =
            state.inodes.get(&self.id).and_then(|inode| inode.current.get(offset as usize..)).unwrap_or_default();
        let got = content.len().min(out.len());
        for (to, from) in out.iter_mut().zip(content) {
            *to = *from;
        }
        Ok(got)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.alive("len", &self.path, 0, 0)?;
        Ok(self.inner.state.lock().inodes.get(&self.id).map_or(0, |inode| inode.current.len() as u64))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.alive("truncate", &self.path, len, 0)?;
        self.inner.fail(|faults| &mut faults.refuse_truncations).map_err(|_| io::ErrorKind::StorageFull)?;
        if let Some(inode) = self.inner.state.lock().inodes.get_mut(&self.id) {
            inode.truncate(len as usize);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn advise(&self, _offset: u64, _len: u64, _advice: Advice) {}

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests;
