//! Which file this is, and how far it has been read: the stored offset.
//!
//! A file is told by what was read of it: a fingerprint of its first bytes and one of the bytes right
//! before the position. Device and inode are a hint that decides only where content can't, since
//! inodes are reused and differ on copies and network mounts.

use crate::hash::hash;
use levada_connector_api::{SourceOffset, SourcePartition};
use serde_json::{Value as Json, json};
use std::io;

/// Bytes that the fingerprint of a file's start covers, once as many have been read.
pub const HEAD: usize = 1024;
/// Bytes before the position that the second fingerprint covers, at most.
pub const TAIL: usize = 256;

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub inode: u64,
}

/// Hash of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many bytes.
    pub len: usize,
    /// Their hash.
    pub hash: u64,
}

impl Fingerprint {
    /// Fingerprint of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len(), hash: hash(bytes) }
    }
}

/// How far a file is read, with what tells the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The next byte to read; of the unpacked content for a compressed file.
    pub position: u64,
    /// How many pieces of the line at the position were given out before it.
    pub part: u32,
    /// Device and inode, unless the offset came from elsewhere.
    pub id: Option<FileId>,
    /// The first bytes.
    pub head: Fingerprint,
    /// The bytes before the position.
    pub tail: Fingerprint,
}

/// Bytes of a file by position: `None` when there are not so many.
pub type ReadAt<'a> = dyn FnMut(u64, usize) -> io::Result<Option<Vec<u8>>> + 'a;

impl Progress {
    /// The offset as it is stored. `position` is where Apache's connector looks; it passes by the rest.
    pub fn to_offset(&self) -> SourceOffset {
        let mut offset = SourceOffset::new();
        offset.insert("position".into(), json!(self.position as i64));
        if let Some(id) = self.id {
            offset.insert("dev".into(), json!(id.dev as i64));
            offset.insert("inode".into(), json!(id.inode as i64));
        }
        for (name, len_name, print) in [("fp", "fplen", self.head), ("tail", "taillen", self.tail)] {
            if print.len > 0 {
                offset.insert(name.into(), json!(format!("{:016x}", print.hash)));
                offset.insert(len_name.into(), json!(print.len));
            }
        }
        if self.part > 0 {
            offset.insert("part".into(), json!(self.part));
        }
        offset
    }

    /// A stored offset; `None` when it holds no position. Fields that are not what we store count as
    /// absent: people may write offsets by hand.
    pub fn of_offset(offset: &SourceOffset) -> Option<Self> {
        let number = |name: &str| offset.get(name).and_then(Json::as_i64);
        let print = |name: &str, len_name: &str, most: usize| {
            let hash = u64::from_str_radix(offset.get(name)?.as_str()?, 16).ok()?;
            let len = usize::try_from(number(len_name)?).ok().filter(|len| *len <= most)?;
            Some(Fingerprint { len, hash })
        };
        let position = u64::try_from(number("position")?).ok()?;
        let id = number("dev").zip(number("inode"));
        let within = |print: &Fingerprint| print.len as u64 <= position;
        Some(Self {
            position,
            part: number("part").and_then(|part| u32::try_from(part).ok()).unwrap_or(0),
            id: id.map(|(dev, inode)| FileId { dev: dev as u64, inode: inode as u64 }),
            head: print("fp", "fplen", HEAD).filter(within).unwrap_or_default(),
            tail: print("tail", "taillen", TAIL).filter(within).unwrap_or_default(),
        })
    }

    /// Whether a file that `read` reads begins with all that this progress was made over. With
    /// nothing read, or nothing known of what was, any file that is long enough does.
    pub fn fits(&self, read: &mut ReadAt<'_>) -> io::Result<bool> {
        let mut same = |at: u64, print: Fingerprint| -> io::Result<bool> {
            Ok(print.len == 0 || read(at, print.len)?.is_some_and(|bytes| Fingerprint::of(&bytes) == print))
        };
        Ok(same(0, self.head)? && same(self.position - self.tail.len as u64, self.tail)?)
    }

    /// Whether the fingerprint alone tells the file, without device and inode.
    pub fn is_telling(&self) -> bool {
        self.head.len == HEAD
    }
}

/// The source partition of a file.
pub fn partition_of(file: &str) -> SourcePartition {
    let mut partition = SourcePartition::new();
    partition.insert("filename".into(), json!(file));
    partition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(content: &[u8]) -> impl FnMut(u64, usize) -> io::Result<Option<Vec<u8>>> {
        move |at, len| Ok(content.get(at as usize..at as usize + len).map(<[u8]>::to_vec))
    }

    #[test]
    fn an_offset_is_stored_and_read_back() {
        let id = Some(FileId { dev: 64769, inode: u64::MAX });
        let progress =
            Progress { position: 9, part: 2, id, head: Fingerprint::of(b"abc"), tail: Fingerprint::of(b"c") };
        let offset = progress.to_offset();
        assert_eq!(offset["position"], json!(9));
        assert_eq!(Progress::of_offset(&offset), Some(progress));
    }

    #[test]
    fn apaches_and_hand_written_offsets_are_understood() {
        let offset = |json: Json| Progress::of_offset(json.as_object().unwrap());
        assert_eq!(offset(json!({"position": 5})), Some(Progress { position: 5, ..Progress::default() }));
        assert_eq!(offset(json!({"position": -1})), None);
        assert_eq!(offset(json!({"position": "5"})), None);
        assert_eq!(offset(json!({})), None);
        let lies = offset(json!({"position": 5, "fp": "zz", "fplen": 3, "tail": "ff", "taillen": 9999999999u64}));
        assert_eq!(lies, Some(Progress { position: 5, ..Progress::default() }));
    }

    #[test]
    fn content_tells_the_file() {
        let content = b"first line\nsecond line\n";
        let progress = Progress {
            position: 11,
            head: Fingerprint::of(&content[..11]),
            tail: Fingerprint::of(&content[6..11]),
            ..Progress::default()
        };
        let fits = |content: &[u8]| progress.fits(&mut reader(content)).unwrap();
        assert!(fits(content));
        assert!(fits(b"first line\nanother one\n"), "what comes later does not matter");
        assert!(!fits(b"other line\nsecond line\n"));
        assert!(!fits(b"first"), "shorter than what was read");
        assert!(Progress::default().fits(&mut reader(b"")).unwrap());
    }
}
