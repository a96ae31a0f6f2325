//! What is stored with a commit, and what a start makes of it: the pure part of exactly-once.
//!
//! One commit covers all partitions the task owns then, idle ones with the offset they have already,
//! and each gets the same mark. A partition that was not owned at the last commit keeps an older one.
//! The file only grows between commits, so of marks of one file the longest is the newest, and what is
//! behind it was never committed. That holds only while each committed offset has its mark: beside
//! others with marks, one without could have been committed later than all of them.

use crate::{hash::hash, tail::FileId};
use levada_connector_api::Committed;
use std::fmt;

/// Bytes before the end that the checksum covers, at most.
pub const TAIL: u64 = 4096;

/// Marks start with it; the number is the version of the format.
const NAME: &str = "levada-file/";
const VERSION: u32 = 1;

/// The state of the file at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Length of the file.
    pub len: u64,
    /// Device and inode.
    pub id: FileId,
    /// Checksum of the last bytes, [`TAIL`] or all there are.
    pub tail: u64,
    /// Hash of the path, to tell the mark of a file that the configuration no longer names.
    pub path: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, id, tail, path } = self;
        write!(f, "{NAME}{VERSION} len={len} dev={} ino={} tail={tail:016x} path={path:016x}", id.dev, id.inode)
    }
}

/// What commit metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing is committed.
    Never,
    /// An offset with nothing of ours beside it.
    Nothing,
    /// A mark.
    Mark(Mark),
    /// A mark in a format this version does not know.
    Unknown(String),
}

impl Stored {
    /// What a partition committed last.
    pub fn of(committed: &Committed) -> Self {
        if committed.offset.is_none() { Self::Never } else { Self::read(&committed.metadata) }
    }

    /// Reads commit metadata. Text that another program stored counts as nothing.
    pub fn read(metadata: &str) -> Self {
        let Some(rest) = metadata.strip_prefix(NAME) else { return Self::Nothing };
        let mut words = rest.split(' ');
        let version = words.next().and_then(|version| version.parse::<u32>().ok());
        let fields: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        let text = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1);
        let number = |name| text(name).and_then(|text| text.parse::<u64>().ok());
        let hex = |name| text(name).and_then(|text| u64::from_str_radix(text, 16).ok());
        let mark = || {
            let id = FileId { dev: number("dev")?, inode: number("ino")? };
            Some(Mark { len: number("len")?, id, tail: hex("tail")?, path: hex("path")? })
        };
        match (version, mark()) {
            (Some(VERSION), Some(mark)) => Self::Mark(mark),
            _ => Self::Unknown(metadata.chars().take(200).collect()),
        }
    }
}

/// Hash of a path for [`Mark::path`].
pub fn path_hash(path: &str) -> u64 {
    hash(path.as_bytes())
}

/// The file as it is at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// Device and inode.
    pub id: FileId,
    /// Length.
    pub len: u64,
}

/// How to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the end of the file, which is made if there is none.
    Append,
    /// At this length: what is behind it was never committed.
    Cut(u64),
}

/// Why a start can't be exactly-once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The file is gone.
    #[error("it does not exist, but the committed offsets say that {0} bytes were written to it")]
    Gone(u64),
    /// Another file is in its place.
    #[error("it is not the file that the committed offsets were made with (device {}, inode {}, was device {}, inode {})",
        found.dev, found.inode, expected.dev, expected.inode)]
    OtherFile {
        /// The file that is there.
        found: FileId,
        /// The one that was.
        expected: FileId,
    },
    /// It lost bytes.
    #[error("it has {found} bytes, but the committed offsets say that {expected} were written")]
    Shorter {
        /// Its length.
        found: u64,
        /// The committed one.
        expected: u64,
    },
    /// It was changed.
    #[error("its content before byte {0}, where the committed offsets end, is not what was written")]
    Changed(u64),
    /// The partitions disagree.
    #[error("the committed offsets of its partitions speak of different files")]
    Conflict,
    /// Some partitions have a mark of the file, another has an offset without one.
    #[error("some of its partitions have a committed offset that says nothing of this file, beside others that do")]
    Unmarked,
    /// The mark can't be read.
    #[error("the committed offsets hold a state that this version can't read: {0}")]
    Unknown(String),
}

/// Decides. `tail` gives the checksum of the file's bytes before a length.
pub fn decide<E>(
    stored: &[Stored],
    path: u64,
    present: Option<Present>,
    tail: impl FnOnce(u64) -> Result<u64, E>,
) -> Result<Result<Start, Mismatch>, E> {
    if let Some(Stored::Unknown(text)) = stored.iter().find(|stored| matches!(stored, Stored::Unknown(_))) {
        return Ok(Err(Mismatch::Unknown(text.clone())));
    }
    let marks = stored.iter().filter_map(|stored| match stored {
        Stored::Mark(mark) if mark.path == path => Some(*mark),
        _ => None,
    });
    let marks: Vec<Mark> = marks.collect();
    let Some(newest) = marks.iter().max_by_key(|mark| mark.len).copied() else { return Ok(Ok(Start::Append)) };
    let marked = |stored: &Stored| matches!(stored, Stored::Mark(mark) if mark.path == path);
    if stored.iter().any(|stored| *stored != Stored::Never && !marked(stored)) {
        return Ok(Err(Mismatch::Unmarked));
    }
    if marks.iter().any(|mark| mark.id != newest.id && mark.len > 0) {
        return Ok(Err(Mismatch::Conflict));
    }
    let found = match present {
        // An empty file that is gone, or was made again, lost nothing.
        None | Some(Present { len: 0, .. }) if newest.len == 0 => return Ok(Ok(Start::Append)),
        None => return Ok(Err(Mismatch::Gone(newest.len))),
        Some(found) => found,
    };
    if found.id != newest.id {
        return Ok(Err(Mismatch::OtherFile { found: found.id, expected: newest.id }));
    }
    if found.len < newest.len {
        return Ok(Err(Mismatch::Shorter { found: found.len, expected: newest.len }));
    }
    if tail(newest.len)? != newest.tail {
        return Ok(Err(Mismatch::Changed(newest.len)));
    }
    Ok(Ok(Start::Cut(newest.len)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    const ID: FileId = FileId { dev: 1, inode: 2 };
    const OTHER: FileId = FileId { dev: 1, inode: 3 };

    fn mark(len: u64) -> Mark {
        Mark { len, id: ID, tail: 7, path: 9 }
    }

    fn begin(stored: &[Stored], present: Option<(FileId, u64)>, tail: u64) -> Result<Start, Mismatch> {
        let present = present.map(|(id, len)| Present { id, len });
        decide::<Infallible>(stored, 9, present, |_| Ok(tail)).unwrap()
    }

    #[test]
    fn a_mark_is_stored_and_read_back() {
        let mark = Mark { len: u64::MAX, id: FileId { dev: u64::MAX, inode: u64::MAX }, tail: u64::MAX, path: 0 };
        assert_eq!(Stored::read(&mark.to_string()), Stored::Mark(mark));
        assert!(mark.to_string().len() <= 4096);
        assert_eq!(Stored::read(""), Stored::Nothing);
        assert_eq!(Stored::read("of another program"), Stored::Nothing);
        assert!(matches!(Stored::read("levada-file/2 len=1"), Stored::Unknown(_)));
        assert!(matches!(Stored::read("levada-file/1 len=1"), Stored::Unknown(_)));
    }

    #[test]
    fn without_a_mark_nothing_is_cut() {
        for present in [None, Some((ID, 0)), Some((ID, 100))] {
            assert_eq!(begin(&[Stored::Nothing], present, 0), Ok(Start::Append));
            let elsewhere = Stored::Mark(Mark { path: 8, ..mark(50) });
            assert_eq!(begin(&[elsewhere], present, 0), Ok(Start::Append), "a mark of another path");
        }
    }

    #[test]
    fn only_what_was_never_committed_is_cut() {
        assert_eq!(begin(&[Stored::Mark(mark(50))], Some((ID, 80)), 7), Ok(Start::Cut(50)));
        assert_eq!(begin(&[Stored::Mark(mark(50))], Some((ID, 50)), 7), Ok(Start::Cut(50)));
        let older = [Stored::Mark(mark(50)), Stored::Never, Stored::Mark(mark(70))];
        assert_eq!(begin(&older, Some((ID, 80)), 7), Ok(Start::Cut(70)), "the newest commit counts");
    }

    #[test]
    fn any_doubt_about_the_file_is_an_error() {
        let stored = [Stored::Mark(mark(50))];
        assert_eq!(begin(&stored, None, 7), Err(Mismatch::Gone(50)));
        assert_eq!(begin(&stored, Some((OTHER, 80)), 7), Err(Mismatch::OtherFile { found: OTHER, expected: ID }));
        assert_eq!(begin(&stored, Some((ID, 49)), 7), Err(Mismatch::Shorter { found: 49, expected: 50 }));
        assert_eq!(begin(&stored, Some((ID, 80)), 8), Err(Mismatch::Changed(50)));
        let two = [Stored::Mark(mark(50)), Stored::Mark(Mark { id: OTHER, ..mark(40) })];
        assert_eq!(begin(&two, Some((ID, 80)), 7), Err(Mismatch::Conflict));
        for unmarked in [Stored::Nothing, Stored::Mark(Mark { path: 8, ..mark(90) })] {
            let two = [Stored::Mark(mark(50)), unmarked];
            assert_eq!(begin(&two, Some((ID, 80)), 7), Err(Mismatch::Unmarked));
        }
        assert_eq!(begin(&[Stored::Mark(mark(0))], None, 7), Ok(Start::Append), "an empty file lost nothing");
    }

    proptest! {
        #[test]
        fn no_metadata_breaks_it(text in "(levada-file/[0-3] ?)?\\PC{0,60}") {
            Stored::read(&text);
        }
    }
}
