//! One file, whatever its path is at the moment: how far it is read, and reading on.

use super::{
    discovery::Facts,
    identity::{FileId, Fingerprint, HEAD, Progress, TAIL},
    input::{Behind, Input, Kind, id_of, open},
    rotation::{Held, Phase},
};
use crate::text::{BUFFER, Block, Buffers, LineError, LineRules, LongLines, find_line_end, last_line_end};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Smallest read.
const LEAST: usize = 4 * 1024;

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's cause.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The content's.
    #[error(transparent)]
    Line(#[from] LineError),
}

/// A file.
pub struct Life {
    /// Device and inode.
    pub id: FileId,
    /// Whether it is at its path.
    pub phase: Phase,
    /// Size up to which everything has been looked at.
    pub seen: u64,
    /// Time at which `seen` last moved.
    pub quiet_since: Duration,
    /// Last change of the content that was looked at.
    pub modified: (i64, i64),
    /// Its rest is given out even without a line end, then it is done with.
    pub finishing: bool,
    /// Its rest is given out even without a line end, once.
    pub flushing: bool,
    /// Turn in which it was last used.
    pub used: u64,
    /// Lines that were read but not yet given out.
    pub block: Option<Block>,
    progress: Progress,
    unpack: bool,
    input: Option<Input>,
    kind: Kind,
    /// Whether a compressed file was last seen to end in the middle.
    pub torn: bool,
    /// Where to look on for the end of a line to truncate.
    scanned: u64,
}

impl Life {
    /// A file, read up to `progress`.
    pub fn new(id: FileId, progress: Progress, unpack: bool) -> Self {
        Self {
            id,
            phase: Phase::Following,
            seen: 0,
            quiet_since: Duration::ZERO,
            modified: (0, 0),
            finishing: false,
            flushing: false,
            used: 0,
            block: None,
            progress: Progress { id: Some(id), ..progress },
            unpack,
            input: None,
            kind: Kind::Plain,
            torn: false,
            scanned: 0,
        }
    }

    /// How far it is read.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether a handle is held.
    pub fn is_open(&self) -> bool {
        self.input.is_some()
    }

    /// Closes the handle.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// Takes an open handle.
    pub fn attach(&mut self, mut input: Input) -> io::Result<()> {
        self.kind = input.kind()?;
        self.input = Some(input);
        Ok(())
    }

    /// Opens the file at `path`, or under whatever name in the same directory it has now. False when
    /// it is not to be found.
    pub fn open(&mut self, path: &Path) -> io::Result<bool> {
        if self.input.is_none() {
            self.input = find(path, self.id)?.map(|(_, file)| Input::new(file, self.unpack));
        }
        Ok(self.input.is_some())
    }

    /// The facts that rotation is decided by. `at_path` is what the path leads to.
    pub fn held(&mut self, path: &Path, at_path: Option<&Facts>) -> io::Result<Held> {
        let here = at_path.filter(|facts| facts.id == self.id);
        if here.is_none() {
            self.open(path)?;
        }
        let now = match &self.input {
            Some(input) => Some(input.metadata().map(|metadata| (metadata.len(), metadata.nlink()))?),
            None => here.map(|facts| (facts.size, 1)),
        };
        // Sizes and positions of a packed file are not of one kind: it is looked at when it changes.
        if let Some(input) = &mut self.input {
            self.kind = input.kind()?;
        }
        let position = if self.kind == Kind::Plain { self.progress.position } else { 0 };
        Ok(Held { id: self.id, position, seen: self.seen, now })
    }

    /// Whether half a line waits for its end.
    pub fn has_rest(&self) -> bool {
        self.kind == Kind::Plain && self.seen > self.progress.position
    }

    /// Whether a file of that size can hold what was read; of a compressed one it is not known.
    pub fn has_all_that_was_read(&self, size: u64) -> bool {
        self.kind != Kind::Plain || size >= self.progress.position
    }

    /// Whether the content is still what was read, as far as it was.
    pub fn is_unchanged(&mut self) -> io::Result<bool> {
        let Some(input) = &mut self.input else { return Ok(true) };
        // What a compressed file's decoder knows is from before the change.
        input.restart(self.unpack);
        fits(input, &self.progress)
    }

    /// Starts again at 0.
    pub fn restart(&mut self) {
        self.kind = Kind::Plain;
        self.progress = Progress { id: Some(self.id), ..Progress::default() };
        (self.seen, self.scanned, self.block) = (0, 0, None);
        if let Some(input) = &mut self.input {
            input.restart(self.unpack);
        }
    }

    /// Says that `block` gave out lines: the progress is now where it is.
    pub fn advance(&mut self, part: u32) -> io::Result<()> {
        let Some(block) = &self.block else { return Ok(()) };
        self.progress.position = block.position();
        self.progress.part = part;
        self.progress.tail = Fingerprint::of(block.behind(TAIL));
        self.scanned = 0;
        let head = self.progress.head.len;
        if head < HEAD && self.progress.position > head as u64 {
            let len = usize::try_from(self.progress.position).unwrap_or(HEAD).min(HEAD);
            if let Some(bytes) = self.input.as_mut().map(|input| input.bytes(0, len)).transpose()?.flatten() {
                self.progress.head = Fingerprint::of(&bytes);
            }
        }
        Ok(())
    }

    /// Ends the block: all its lines are given out.
    pub fn finish_block(&mut self) {
        if let (Some(block), Some(input)) = (self.block.take(), &mut self.input)
            && !block.rest().is_empty()
        {
            input.end(block.position(), block.rest());
        }
    }

    /// Reads the next whole lines into [`Life::block`]. False when there are none yet.
    pub fn read(&mut self, rules: &LineRules, buffers: &mut Buffers) -> Result<bool, ReadError> {
        let Some(input) = &mut self.input else { return Ok(false) };
        let metadata = input.metadata()?;
        let packed = input.kind()? != Kind::Plain;
        let position = self.progress.position;
        let left = if packed { BUFFER as u64 } else { metadata.len().saturating_sub(position) };
        let room = usize::try_from(left).unwrap_or(BUFFER).saturating_add(1).clamp(LEAST, BUFFER);
        let mut buffer = buffers.take(room);
        input.begin(position, &mut buffer)?;
        loop {
            let behind = input.read(position, &mut buffer)?;
            let ended = behind != Behind::More;
            self.torn = behind == Behind::Torn;
            let last = behind == Behind::End && (packed || self.finishing || self.flushing);
            let lines = if last { buffer.len() } else { last_line_end(&buffer, rules.encoding.unit()) };
            if lines > 0 {
                input.end(position + lines as u64, buffer.get(lines..).unwrap_or_default());
                // Bytes behind the last line end are read again: it costs less than to keep them.
                self.seen = if packed { metadata.len() } else { position + buffer.len() as u64 };
                let raw = buffers.freeze(buffer).slice(..lines);
                self.block = Some(Block::of_lines(raw, position, rules, true));
                return Ok(true);
            }
            if ended && buffer.len() <= rules.max_line {
                input.end(position, &buffer);
                self.seen = if packed { metadata.len() } else { position + buffer.len() as u64 };
                buffers.put_back(buffer);
                return Ok(false);
            }
            if buffer.len() > rules.max_line + 2 * rules.encoding.unit().size() {
                return self.read_over_long(rules, buffers, buffer, metadata.len());
            }
            if ended {
                // Over the limit by no more than what may still turn out to be the line end.
                self.seen = if packed { metadata.len() } else { position + buffer.len() as u64 };
                input.end(position, &buffer);
                buffers.put_back(buffer);
                return Ok(false);
            }
            buffer.reserve(buffer.len().clamp(LEAST, rules.max_line.max(BUFFER)));
        }
    }

    /// The line at the position is longer than the limit and its end is not in the buffer.
    fn read_over_long(
        &mut self,
        rules: &LineRules,
        buffers: &mut Buffers,
        mut buffer: Vec<u8>,
        size: u64,
    ) -> Result<bool, ReadError> {
        let position = self.progress.position;
        if rules.long != LongLines::Truncate {
            self.seen = position;
            self.block = Some(Block::of_lines(buffers.freeze(buffer), position, rules, false));
            return Ok(true);
        }
        match self.find_end(rules, position, &buffer)? {
            Some(next) => {
                // A little more than the limit, so that the cut can see where a character ends.
                buffer.truncate(rules.max_line + 4);
                self.seen = next;
                self.block = Some(Block::of_truncated(buffers.freeze(buffer), position, rules, next));
                Ok(true)
            }
            None => {
                self.seen = size;
                buffers.put_back(buffer);
                Ok(false)
            }
        }
    }

    /// Where the line after an over-long one starts; `None` while its end is not written.
    fn find_end(&mut self, rules: &LineRules, position: u64, start: &[u8]) -> io::Result<Option<u64>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        let unit = rules.encoding.unit();
        let packed = input.kind()? != Kind::Plain;
        let at_end = packed || self.finishing || self.flushing;
        let mut at = if packed { position } else { self.scanned.max(position) };
        let mut window = Vec::with_capacity(BUFFER.max(start.len()));
        if packed {
            window.extend_from_slice(start);
        }
        loop {
            let ended = input.read(at, &mut window)? != Behind::More;
            if let Some(end) = find_line_end(&window, 0, unit, ended && at_end) {
                let next = at + end.next as u64;
                input.end(next, window.get(end.next..).unwrap_or_default());
                return Ok(Some(next));
            }
            if ended && at_end {
                return Ok(Some(at + window.len() as u64));
            }
            // The last code unit stays: it may be the first half of a line end.
            let keep = (window.len() % unit.size()) + unit.size().min(window.len());
            let done = window.len() - keep.min(window.len());
            window.drain(..done);
            at += done as u64;
            self.scanned = at;
            if ended {
                return Ok(None);
            }
        }
    }
}

/// Whether the file begins with all that `progress` was made over.
pub fn fits(input: &mut Input, progress: &Progress) -> io::Result<bool> {
    let plain = input.kind()? == Kind::Plain;
    if plain && input.metadata()?.len() < progress.position {
        return Ok(false);
    }
    // Of a packed file only the start is within reach without unpacking all of it.
    let tail = if plain { progress.tail } else { Fingerprint::default() };
    Progress { tail, ..progress.clone() }.fits(&mut |at, len| input.bytes(at, len))
}

/// Most entries of a directory that are looked through for a renamed file.
const MOST_ENTRIES: usize = 100_000;

/// The file with that identity: at `path`, or elsewhere in the same directory.
pub fn find(path: &Path, id: FileId) -> io::Result<Option<(PathBuf, File)>> {
    match open(path) {
        Ok(file) if id_of(&file.metadata()?) == id => return Ok(Some((path.to_owned(), file))),
        Err(error) if !super::discovery::is_absent(&error) => return Err(error),
        _ => {}
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(directory) else { return Ok(None) };
    for entry in entries.flatten().take(MOST_ENTRIES) {
        let same = entry.metadata().is_ok_and(|metadata| metadata.is_file() && id_of(&metadata) == id);
        if same && let Ok(file) = open(&entry.path()) {
            return Ok((id_of(&file.metadata()?) == id).then(|| (entry.path(), file)));
        }
    }
    Ok(None)
}
