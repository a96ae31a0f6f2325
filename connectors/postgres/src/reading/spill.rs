//! A transaction that the server sends while it is under way (protocol version 2): kept aside, in a file past a budget,
//! until its end is known.
//!
//! The file has no name from the moment it is open, so that a crash leaves nothing behind. A restart begins with
//! nothing as well: the server sends a transaction that had not ended from its beginning.

use crate::error::{Error, Result};
use levada_connector_api::Bytes;
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Bytes of a transaction that are kept in memory, and written at a time.
const MEMORY: usize = 1 << 20;
/// Length, position and number of the subtransaction before each message.
const HEADER: usize = 4 + 8 + 4;

/// A message of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// Position in the log.
    pub lsn: u64,
    /// The message as protocol version 1 has it.
    pub message: Bytes,
}

/// The messages of one transaction so far.
#[derive(Debug, Default)]
pub struct Spill {
    memory: Vec<u8>,
    file: Option<File>,
    aborted: HashSet<u32>,
}

fn failed(action: &str, directory: &Path, cause: &io::Error) -> Error {
    // The code of a full disk: it is tried again.
    Error::server(
        format!("a transaction under way can't be {action} in {}", directory.display()),
        "53100",
        &format!("{cause}; make room, set transaction.spill.directory, or slot.stream.params to streaming=off"),
    )
}

impl Spill {
    /// Keeps a message of the subtransaction `xid`.
    pub fn keep(&mut self, directory: &Path, xid: u32, lsn: u64, kind: u8, rest: &[u8]) -> Result<()> {
        let length = u32::try_from(rest.len() + 1).map_err(|_| Error::Protocol("a message beyond 4 GiB".to_owned()))?;
        self.memory.extend_from_slice(&length.to_be_bytes());
        self.memory.extend_from_slice(&lsn.to_be_bytes());
        self.memory.extend_from_slice(&xid.to_be_bytes());
        self.memory.push(kind);
        self.memory.extend_from_slice(rest);
        if self.memory.len() < MEMORY { Ok(()) } else { self.write_out(directory) }
    }

    /// Bytes of it in memory.
    pub fn in_memory(&self) -> usize {
        self.memory.len()
    }

    /// Writes what is in memory into its file.
    pub fn write_out(&mut self, directory: &Path) -> Result<()> {
        if self.memory.is_empty() {
            return Ok(());
        }
        let written = self.write(directory);
        self.memory.clear();
        // One large value must not keep its room for ever.
        self.memory.shrink_to(MEMORY / 4);
        written.map_err(|cause| failed("kept", directory, &cause))
    }

    fn write(&mut self, directory: &Path) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless(directory)?),
        };
        file.write_all(&self.memory)
    }

    /// Forgets what a subtransaction changed.
    pub fn abort(&mut self, xid: u32) {
        self.aborted.insert(xid);
    }

    /// Reads it from the beginning: the transaction has ended.
    pub fn replay(self, directory: &Path) -> Result<Replay> {
        let front: Box<dyn Read> = match self.file {
            None => Box::new(io::empty()),
            Some(mut file) => {
                file.seek(SeekFrom::Start(0)).map_err(|cause| failed("read", directory, &cause))?;
                Box::new(BufReader::with_capacity(256 * 1024, file))
            }
        };
        Ok(Replay { input: Box::new(front.chain(io::Cursor::new(self.memory))), aborted: self.aborted })
    }
}

/// A file that only this process can see, gone when it is closed.
fn nameless(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!("levada-transaction-{}", uuid::Uuid::new_v4()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// What is left to be read.
pub struct Replay {
    input: Box<dyn Read>,
    aborted: HashSet<u32>,
}

impl Replay {
    /// The next message that counts.
    pub fn next(&mut self, directory: &Path) -> Result<Option<Kept>> {
        self.read().map_err(|cause| failed("read", directory, &cause))
    }

    fn read(&mut self) -> io::Result<Option<Kept>> {
        loop {
            let mut header = [0; HEADER];
            match self.input.read_exact(&mut header) {
                Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            }
            let [l0, l1, l2, l3, p0, p1, p2, p3, p4, p5, p6, p7, x0, x1, x2, x3] = header;
            let length = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
            let lsn = u64::from_be_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
            let mut message = Vec::new();
            if (&mut self.input).take(length).read_to_end(&mut message)? as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The server announces a table once for the whole transaction, whatever becomes of the part it did it in.
            let counts = message.first() == Some(&b'R');
            if counts || !self.aborted.contains(&u32::from_be_bytes([x0, x1, x2, x3])) {
                return Ok(Some(Kept { lsn, message: message.into() }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(spill: Spill, directory: &Path) -> Vec<Kept> {
        let mut replay = spill.replay(directory).unwrap();
        std::iter::from_fn(|| replay.next(directory).unwrap()).collect()
    }

    #[test]
    fn what_was_kept_comes_back_in_order_without_what_was_aborted() {
        let home = tempfile::tempdir().unwrap();
        let mut spill = Spill::default();
        spill.keep(home.path(), 1, 10, b'I', b"a").unwrap();
        spill.keep(home.path(), 2, 11, b'R', b"relation").unwrap();
        let large = vec![7; 3 * MEMORY];
        spill.keep(home.path(), 2, 12, b'I', &large).unwrap();
        spill.keep(home.path(), 3, 13, b'I', &large).unwrap();
        spill.keep(home.path(), 1, 14, b'D', b"").unwrap();
        assert!(spill.file.is_some() && spill.memory.len() < MEMORY, "most is in the file");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "which has no name");
        spill.abort(2);
        let kept = all(spill, home.path());
        assert_eq!(kept.iter().map(|kept| kept.lsn).collect::<Vec<_>>(), [10, 11, 13, 14]);
        assert_eq!(kept[0].message, Bytes::from_static(b"Ia"));
        assert_eq!(kept[2].message.len(), large.len() + 1);
        assert_eq!(kept[3].message, Bytes::from_static(b"D"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let mut spill = Spill::default();
        let error = spill.keep(Path::new("/nowhere"), 1, 1, b'I', &vec![0; MEMORY]).unwrap_err();
        assert!(error.to_string().contains("transaction.spill.directory"), "{error}");
    }
}
