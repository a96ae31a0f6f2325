//! The bytes of one open file, unpacked if it is a compressed one.
//!
//! Plain files are read by position, so that a turn leaves no state behind: what is half read is read
//! again. A compressed file is a stream from its start; what a turn left is kept for the next.

use super::identity::{FileId, HEAD};
use rustix::{
    fs::OFlags,
    io::{Errno, pread},
};
use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

/// Plain, or packed in one of the forms that are told by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read as it is.
    Plain,
    /// gzip, of one member or several.
    Gzip,
    /// Zstandard, of one frame or several.
    Zstd,
}

impl Kind {
    /// Tells the kind by the first bytes; `None` while there are too few.
    pub fn of(first: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Kind); 2] = [(b"\x1f\x8b", Kind::Gzip), (b"\x28\xb5\x2f\xfd", Kind::Zstd)];
        if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| first.starts_with(magic)) {
            return Some(*kind);
        }
        let undecided = MAGIC.iter().any(|(magic, _)| magic.starts_with(first));
        (!undecided).then_some(Self::Plain)
    }
}

/// What stands behind the bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// More of them.
    More,
    /// The end of the file.
    End,
    /// The end of a compressed file in the middle of its packed data.
    Torn,
}

/// Device and inode of a file.
pub fn id_of(metadata: &Metadata) -> FileId {
    FileId { dev: metadata.dev(), inode: metadata.ino() }
}

/// Opens a file for reading, without waiting for a writer should it be a pipe.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// An open file.
pub struct Input {
    file: Arc<File>,
    /// Not known while the file has too few bytes to tell.
    kind: Option<Kind>,
    stream: Option<Stream>,
}

struct Stream {
    decoder: Box<dyn Read + Send>,
    /// Unpacked position of the first byte of `carry`, then of the next byte of the decoder.
    at: u64,
    carry: Vec<u8>,
    first: Vec<u8>,
}

impl Input {
    /// Over an open file. `unpack` says whether compressed files shall be unpacked.
    pub fn new(file: File, unpack: bool) -> Self {
        Self { file: Arc::new(file), kind: (!unpack).then_some(Kind::Plain), stream: None }
    }

    /// Kind of the file; one that is too short to tell counts as plain for now.
    pub fn kind(&mut self) -> io::Result<Kind> {
        if self.kind.is_none() {
            let mut first = [0; 4];
            let read = read_fully(&self.file, &mut first, 0)?;
            self.kind = Kind::of(first.get(..read).unwrap_or_default());
        }
        Ok(self.kind.unwrap_or(Kind::Plain))
    }

    /// Forgets what was seen of the content: the file is another one now.
    pub fn restart(&mut self, unpack: bool) {
        self.kind = (!unpack).then_some(Kind::Plain);
        self.stream = None;
    }

    /// What the handle says of the file now.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Begins a turn at `position`: puts into `buffer` what the last turn left.
    pub fn begin(&mut self, position: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
        let kind = self.kind()?;
        if kind == Kind::Plain {
            return Ok(());
        }
        if self.stream.as_ref().is_none_or(|stream| stream.at > position) {
            self.stream = Some(self.unpack(kind)?);
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Err(error) = stream.skip_to(position) {
            self.stream = None;
            return Err(error);
        }
        buffer.append(&mut stream.carry);
        stream.at += buffer.len() as u64;
        Ok(())
    }

    /// Reads into the free room of `buffer`, which holds the bytes from `position` on.
    pub fn read(&mut self, position: u64, buffer: &mut Vec<u8>) -> io::Result<Behind> {
        if buffer.len() == buffer.capacity() {
            return Ok(Behind::More);
        }
        let Some(stream) = &mut self.stream else {
            let offset = position + buffer.len() as u64;
            let room = buffer.capacity() - buffer.len();
            let read = retry(|| pread(&self.file, rustix::buffer::spare_capacity(buffer), offset))?;
            return Ok(if read < room { Behind::End } else { Behind::More });
        };
        match stream.read(buffer) {
            Ok(ended) => Ok(if ended { Behind::End } else { Behind::More }),
            Err(error) => {
                // The decoder can't go on after an error; the next turn starts a new one.
                self.stream = None;
                if error.kind() == io::ErrorKind::UnexpectedEof { Ok(Behind::Torn) } else { Err(error) }
            }
        }
    }

    /// Ends a turn: `rest` are the bytes from `position` on that were read but not used.
    pub fn end(&mut self, position: u64, rest: &[u8]) {
        if let Some(stream) = &mut self.stream {
            let mut carry = rest.to_vec();
            carry.append(&mut stream.carry);
            stream.carry = carry;
            stream.at = position;
        }
    }

    /// `len` bytes at `at`, if there are as many; of a compressed file only those at its start.
    pub fn bytes(&mut self, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let kind = self.kind()?;
        if kind == Kind::Plain {
            let mut bytes = vec![0; len];
            let read = read_fully(&self.file, &mut bytes, at)?;
            return Ok((read == len).then_some(bytes));
        }
        if self.stream.is_none() {
            self.stream = Some(self.unpack(kind)?);
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        stream.look_ahead(HEAD)?;
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        Ok(stream.first.get(start..start.saturating_add(len)).map(<[u8]>::to_vec))
    }

    fn unpack(&self, kind: Kind) -> io::Result<Stream> {
        let raw = BufReader::with_capacity(64 * 1024, Positioned { file: Arc::clone(&self.file), at: 0 });
        let decoder: Box<dyn Read + Send> = match kind {
            Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(raw)?),
            Kind::Gzip | Kind::Plain => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
        };
        Ok(Stream { decoder, at: 0, carry: Vec::new(), first: Vec::new() })
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let before = buffer.len();
        let room = buffer.capacity() - before;
        let result = self.decoder.by_ref().take(room as u64).read_to_end(buffer);
        self.remember(buffer.get(before..).unwrap_or_default(), self.at);
        self.at += (buffer.len() - before) as u64;
        Ok(result? < room)
    }

    /// Keeps the first bytes of the content for the fingerprint.
    fn remember(&mut self, bytes: &[u8], at: u64) {
        if at == self.first.len() as u64 && self.first.len() < HEAD {
            let most = bytes.len().min(HEAD - self.first.len());
            self.first.extend_from_slice(bytes.get(..most).unwrap_or_default());
        }
    }

    fn look_ahead(&mut self, len: usize) -> io::Result<()> {
        if self.first.len() < len && self.at == 0 && self.carry.is_empty() {
            let mut buffer = Vec::with_capacity(len);
            self.read(&mut buffer)?;
            self.carry = buffer;
            self.at = 0;
        }
        Ok(())
    }

    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        let from_carry = usize::try_from(position - self.at).unwrap_or(usize::MAX).min(self.carry.len());
        self.carry.drain(..from_carry);
        self.at += from_carry as u64;
        let mut scratch = vec![0; 64 * 1024];
        while self.at < position {
            let want = usize::try_from(position - self.at).unwrap_or(usize::MAX).min(scratch.len());
            let part = scratch.get_mut(..want).unwrap_or_default();
            let read = self.decoder.read(part)?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it holds less than was read of it before"));
            }
            let at = self.at;
            let read_bytes = scratch.get(..read).unwrap_or_default().to_vec();
            self.remember(&read_bytes, at);
            self.at += read as u64;
        }
        Ok(())
    }
}

/// Reads a file from a position on without moving the handle's own.
struct Positioned {
    file: Arc<File>,
    at: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn read_fully(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_kinds_by_their_first_bytes() {
        assert_eq!(Kind::of(b"\x1f\x8b\x08\x00"), Some(Kind::Gzip));
        assert_eq!(Kind::of(b"\x28\xb5\x2f\xfd"), Some(Kind::Zstd));
        assert_eq!(Kind::of(b"(\n"), Some(Kind::Plain));
        assert_eq!(Kind::of(b"text"), Some(Kind::Plain));
        for undecided in [b"".as_slice(), b"\x1f", b"(", b"\x28\xb5\x2f"] {
            assert_eq!(Kind::of(undecided), None);
        }
    }
}
