//! One message.

use super::{Tuple, reader::Reader};
use crate::error::{Error, Result};

/// A table as the server announces it before its first change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Number of the table.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `d`, `n`, `f` or `i`.
    pub identity: u8,
    /// Columns that are sent, in order.
    pub columns: Vec<RelationColumn>,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    /// Whether it is part of the replica identity.
    pub in_identity: bool,
    /// Name.
    pub name: String,
    /// Number of its type.
    pub type_oid: u32,
    /// Modifier of its type.
    pub modifier: i32,
}

/// The row before a change.
#[derive(Clone, Copy, Debug)]
pub struct OldRow<'a> {
    /// Whether all columns are in it, not the replica identity's only.
    pub full: bool,
    /// The row.
    pub row: Tuple<'a>,
}

/// A message.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// A transaction begins.
    Begin {
        /// Position of its commit.
        commit: u64,
        /// Time of its commit, microseconds since 1970.
        commit_micros: i64,
        /// Its number.
        xid: u32,
    },
    /// A transaction ends.
    Commit {
        /// Position behind the commit.
        end: u64,
    },
    /// Where the transaction came from.
    Origin {
        /// Position there.
        lsn: u64,
        /// Name of the origin.
        name: String,
    },
    /// A table.
    Relation(Relation),
    /// A new row.
    Insert(u32, Tuple<'a>),
    /// A changed row.
    Update(u32, Option<OldRow<'a>>, Tuple<'a>),
    /// A deleted row.
    Delete(u32, OldRow<'a>),
    /// Tables that were emptied.
    Truncate(Vec<u32>),
    /// A message of `pg_logical_emit_message`.
    Logical {
        /// Whether it belongs to the transaction.
        transactional: bool,
        /// Position.
        lsn: u64,
        /// Prefix.
        prefix: String,
        /// Content.
        content: &'a [u8],
    },
    /// Nothing that matters.
    Other,
}

impl<'a> Message<'a> {
    /// Reads a message of protocol version 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut read = Reader(bytes);
        Ok(match read.u8()? {
            b'B' => Self::Begin { commit: read.u64()?, commit_micros: read.micros()?, xid: read.u32()? },
            b'C' => {
                read.bytes(1 + 8)?;
                Self::Commit { end: read.u64()? }
            }
            b'O' => Self::Origin { lsn: read.u64()?, name: read.text()? },
            b'R' => Self::Relation(relation(&mut read)?),
            b'I' => {
                let oid = read.u32()?;
                expect(&mut read, b'N')?;
                Self::Insert(oid, Tuple::take(&mut read)?)
            }
            b'U' => update(&mut read)?,
            b'D' => {
                let oid = read.u32()?;
                let full = old(read.u8()?)?;
                Self::Delete(oid, OldRow { full, row: Tuple::take(&mut read)? })
            }
            b'T' => {
                let count = read.u32()?;
                read.u8()?;
                // Bounded by what is there, not by what is claimed.
                Self::Truncate((0..count).map(|_| read.u32()).collect::<Result<_>>()?)
            }
            b'M' => {
                let transactional = read.u8()? & 1 == 1;
                let (lsn, prefix) = (read.u64()?, read.text()?);
                let length = read.u32()? as usize;
                Self::Logical { transactional, lsn, prefix, content: read.bytes(length)? }
            }
            _ => Self::Other,
        })
    }
}

fn expect(read: &mut Reader<'_>, kind: u8) -> Result<()> {
    if read.u8()? == kind { Ok(()) } else { Err(Error::Protocol("a row of an unknown kind".to_owned())) }
}

fn old(kind: u8) -> Result<bool> {
    match kind {
        b'O' => Ok(true),
        b'K' => Ok(false),
        _ => Err(Error::Protocol("a row of an unknown kind".to_owned())),
    }
}

fn update<'a>(read: &mut Reader<'a>) -> Result<Message<'a>> {
    let oid = read.u32()?;
    let mut kind = read.u8()?;
    let mut before = None;
    if kind != b'N' {
        let full = old(kind)?;
        before = Some(OldRow { full, row: Tuple::take(read)? });
        kind = read.u8()?;
    }
    if kind != b'N' {
        return Err(Error::Protocol("a row of an unknown kind".to_owned()));
    }
    Ok(Message::Update(oid, before, Tuple::take(read)?))
}

fn relation(read: &mut Reader<'_>) -> Result<Relation> {
    let (oid, schema, name) = (read.u32()?, read.text()?, read.text()?);
    let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
    let (identity, count) = (read.u8()?, read.u16()?);
    let column = |_| {
        let in_identity = read.u8()? & 1 == 1;
        Ok(RelationColumn { in_identity, name: read.text()?, type_oid: read.u32()?, modifier: read.i32()? })
    };
    let columns = (0..count).map(column).collect::<Result<_>>()?;
    Ok(Relation { oid, schema, name, identity, columns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgoutput::Cell;
    use proptest::prelude::*;

    #[test]
    fn an_update_with_its_old_row_is_read() {
        let mut bytes = vec![b'U', 0, 0, 0, 7, b'K', 0, 2, b't', 0, 0, 0, 1, b'1', b'n', b'N', 0, 2];
        bytes.extend([b't', 0, 0, 0, 1, b'2', b'u']);
        let Message::Update(7, Some(old), mut new) = Message::parse(&bytes).unwrap() else { panic!() };
        assert!(!old.full);
        assert_eq!(new.next().unwrap(), Some(Cell::Text(b"2")));
        assert_eq!(new.next().unwrap(), Some(Cell::Unchanged));
        assert_eq!(new.next().unwrap(), None);
        assert!(Message::parse(&bytes[..bytes.len() - 1]).is_err(), "a row that is cut short");
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
        }
    }
}
