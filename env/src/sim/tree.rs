//! The state of a simulated disk: inodes with written and durable content, a directory tree with a journal of changes not yet durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::rng::{Rng, SeededRng};

/// Pieces in which an unsynced write survives or not.
const SECTOR: usize = 512;

/// A change of a file's content that is not durable yet.
#[derive(Debug, Clone)]
pub(super) enum FileOp {
    Write { at: usize, data: Vec<u8> },
    Truncate { len: usize },
}

/// A file: what readers see, what a crash leaves, and the difference.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<FileOp>,
}

impl Inode {
    pub(super) fn write(&mut self, at: usize, data: &[u8]) {
        apply_write(&mut self.current, at, data);
        self.pending.push(FileOp::Write { at, data: data.to_vec() });
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.current.resize(len, 0);
        self.pending.push(FileOp::Truncate { len });
    }

    pub(super) fn sync(&mut self) {
        for op in self.pending.drain(..) {
            match op {
                FileOp::Write { at, data } => apply_write(&mut self.durable, at, &data),
                FileOp::Truncate { len } => self.durable.resize(len, 0),
            }
        }
    }

    /// The content after a power loss: each sector of each unsynced write is there or not, and a hole reads as zeros.
    fn after_crash(&self, rng: &SeededRng, keep_per_mille: u64) -> Self {
        let mut content = self.durable.clone();
        for op in &self.pending {
            match op {
                FileOp::Write { at, data } => {
                    for (i, sector) in data.chunks(SECTOR).enumerate() {
                        if rng.below(1000) < keep_per_mille {
                            let cut = if rng.below(8) == 0 {
                                rng.below(sector.len() as u64 + 1) as usize
                            } else {
                                sector.len()
                            };
                            apply_write(&mut content, at + i * SECTOR, sector.get(..cut).unwrap_or(sector));
                        }
                    }
                }
                FileOp::Truncate { len } => {
                    if rng.below(1000) < keep_per_mille {
                        content.resize(*len, 0);
                    }
                }
            }
        }
        Self { current: content.clone(), durable: content, pending: Vec::new() }
    }
}

fn apply_write(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let end = at + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(at..end) {
        place.copy_from_slice(data);
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(u64),
}

/// A change of a directory that is not durable yet.
#[derive(Debug, Clone)]
pub(super) enum DirOp {
    Create { path: PathBuf, node: Node },
    Remove { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
}

impl DirOp {
    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => path.parent() == Some(dir),
            Self::Rename { from, to } => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }
}

pub(super) type Tree = BTreeMap<PathBuf, Node>;

/// All of the disk.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tree: Tree,
    durable_tree: Tree,
    journal: Vec<DirOp>,
    pub(super) inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
}

impl State {
    pub(super) fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.inodes.insert(self.next_inode, Inode::default());
        self.next_inode
    }

    pub(super) fn change(&mut self, op: DirOp) {
        apply(&mut self.tree, &op);
        self.journal.push(op);
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let (now, later) = std::mem::take(&mut self.journal).into_iter().partition(|op| op.touches(dir));
        self.journal = later;
        let now: Vec<DirOp> = now;
        for op in &now {
            apply(&mut self.durable_tree, op);
        }
    }

    /// Everything that was written or changed is durable.
    pub(super) fn sync_all(&mut self) {
        for op in std::mem::take(&mut self.journal) {
            apply(&mut self.durable_tree, &op);
        }
        for inode in self.inodes.values_mut() {
            inode.sync();
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.current.len() as u64).sum()
    }

    /// Forgets the content of files that nothing names any more, not even after a crash.
    pub(super) fn collect(&mut self) {
        let mut named = std::collections::BTreeSet::new();
        for node in self.tree.values().chain(self.durable_tree.values()) {
            if let Node::File(id) = node {
                named.insert(*id);
            }
        }
        for op in &self.journal {
            if let DirOp::Create { node: Node::File(id), .. } = op {
                named.insert(*id);
            }
        }
        self.inodes.retain(|id, _| named.contains(id));
    }

    /// The disk after a power loss: a journalling file system keeps a prefix of the unsynced directory changes, another one any of them.
    pub(super) fn after_crash(&self, rng: &SeededRng) -> Self {
        let mut tree = self.durable_tree.clone();
        let prefix = rng.below(2) == 0;
        let keep = rng.below(self.journal.len() as u64 + 1) as usize;
        for (i, op) in self.journal.iter().enumerate() {
            if if prefix { i < keep } else { rng.below(2) == 0 } {
                apply(&mut tree, op);
            }
        }
        // A directory may be durable before its own entry in the directory above is; without that entry its content is out of reach.
        let all = tree.clone();
        tree.retain(|path, _| path.ancestors().skip(1).all(|dir| is_root(dir) || all.get(dir) == Some(&Node::Dir)));
        let keep_per_mille = *[0, 500, 950, 1000].get(rng.below(4) as usize).unwrap_or(&0);
        let mut inodes = BTreeMap::new();
        for node in tree.values() {
            if let Node::File(id) = node
                && let Some(inode) = self.inodes.get(id)
            {
                inodes.insert(*id, inode.after_crash(rng, keep_per_mille));
            }
        }
        Self { durable_tree: tree.clone(), tree, journal: Vec::new(), inodes, next_inode: self.next_inode }
    }
}

/// Whether `path` has a directory to be in.
pub(super) fn has_parent(tree: &Tree, path: &Path) -> bool {
    match path.parent() {
        None => true,
        Some(parent) => is_root(parent) || tree.get(parent) == Some(&Node::Dir),
    }
}

fn is_root(path: &Path) -> bool {
    path.parent().is_none() || path.as_os_str().is_empty()
}

fn apply(tree: &mut Tree, op: &DirOp) {
    match op {
        DirOp::Create { path, node } => {
            tree.insert(path.clone(), *node);
        }
        DirOp::Remove { path } => {
            tree.retain(|have, _| !have.starts_with(path));
        }
        DirOp::Rename { from, to } => {
            if !tree.contains_key(from) {
                return;
            }
            let moved: Vec<(PathBuf, Node)> =
                tree.iter().filter(|(p, _)| p.starts_with(from)).map(|(p, n)| (p.clone(), *n)).collect();
            tree.retain(|have, _| !have.starts_with(from) && !have.starts_with(to));
            for (path, node) in moved {
                let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
                let path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                tree.insert(path, node);
            }
        }
    }
}
