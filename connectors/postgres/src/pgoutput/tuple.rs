//! A row in a message.

use super::reader::Reader;
use crate::error::{Error, Result};

/// A column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Null.
    Null,
    /// A large value that did not change and is not sent.
    Unchanged,
    /// A value as text.
    Text(&'a [u8]),
}

/// A row: its cells are read one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Tuple<'a> {
    left: u16,
    rest: Reader<'a>,
}

impl<'a> Tuple<'a> {
    /// Takes a row off the front of `rest`, past its end.
    pub(super) fn take(rest: &mut Reader<'a>) -> Result<Self> {
        let left = rest.u16()?;
        let tuple = Self { left, rest: *rest };
        let mut walk = tuple;
        while walk.next()?.is_some() {}
        *rest = walk.rest;
        Ok(tuple)
    }

    /// How many cells are left.
    pub fn len(&self) -> usize {
        usize::from(self.left)
    }

    /// The next cell.
    pub fn next(&mut self) -> Result<Option<Cell<'a>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some(match self.rest.u8()? {
            b'n' => Cell::Null,
            b'u' => Cell::Unchanged,
            b't' => {
                let length = self.rest.u32()? as usize;
                Cell::Text(self.rest.bytes(length)?)
            }
            other => return Err(Error::Protocol(format!("a column of the unknown kind {other}"))),
        }))
    }
}
