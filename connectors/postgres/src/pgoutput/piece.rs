//! What protocol version 2 adds: parts of transactions before their end.

use super::reader::Reader;
use crate::error::Result;

/// A message about a transaction that is sent in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Messages of this transaction follow.
    Start(u32),
    /// They end, for now.
    Stop,
    /// The transaction has committed.
    Commit {
        /// Its number.
        xid: u32,
        /// Position of the commit.
        commit: u64,
        /// Position behind the commit.
        end: u64,
        /// Time of its commit, microseconds since 1970.
        micros: i64,
    },
    /// The transaction, or a part of it, was rolled back.
    Abort {
        /// Its number.
        xid: u32,
        /// The part's number; the transaction's own for all of it.
        part: u32,
    },
}

impl Piece {
    /// Reads it; `None` for any other message.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let mut read = Reader(bytes);
        Ok(Some(match read.u8()? {
            b'S' => Self::Start(read.u32()?),
            b'E' => Self::Stop,
            b'c' => {
                let xid = read.u32()?;
                read.u8()?;
                Self::Commit { xid, commit: read.u64()?, end: read.u64()?, micros: read.micros()? }
            }
            b'A' => Self::Abort { xid: read.u32()?, part: read.u32()? },
            _ => return Ok(None),
        }))
    }

    /// A message within the part of transaction `open`: the number of its subtransaction, its kind, and the rest as
    /// version 1 has it; `None` for one that says nothing.
    pub fn within(open: u32, bytes: &[u8]) -> Result<Option<(u32, u8, &[u8])>> {
        let mut read = Reader(bytes);
        Ok(match read.u8()? {
            b'Y' => None,
            b'O' => Some((open, b'O', read.0)),
            kind => Some((read.u32()?, kind, read.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_number_within_is_taken_out() {
        assert_eq!(Piece::within(5, b"I\0\0\0\x07rest").unwrap(), Some((7, b'I', &b"rest"[..])));
        assert_eq!(Piece::within(5, b"Orest").unwrap(), Some((5, b'O', &b"rest"[..])));
        assert_eq!(Piece::within(5, b"Y\0\0\0\x07").unwrap(), None);
        assert_eq!(Piece::parse(b"S\0\0\0\x07\x01").unwrap(), Some(Piece::Start(7)));
        assert_eq!(Piece::parse(b"A\0\0\0\x07\0\0\0\x08").unwrap(), Some(Piece::Abort { xid: 7, part: 8 }));
        assert_eq!(Piece::parse(b"I").unwrap(), None);
        assert!(Piece::parse(b"c\0").is_err());
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Piece::parse(&bytes), Piece::within(1, &bytes));
        }
    }
}
