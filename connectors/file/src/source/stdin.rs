//! Lines from the standard input, as Apache's connector reads them where `file` is not set. They have
//! no offsets: what is in flight when the daemon ends is gone.
//!
//! The process has one standard input and reading it can't be interrupted, so one thread reads it for
//! as long as the process lives, and whichever task is there takes what it read.

use crate::{
    tail::{Limits, MakeRecord},
    text::{Block, Line, LineRules, LongLines, find_line_end, last_line_end},
};
use bytes::Bytes;
use levada_connector_api::{ConnectorError, Result, SourceBatch, Str};
use std::{
    io::{self, Read},
    sync::{
        Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;
/// Reads that wait to be taken; with more, whoever writes waits.
const WAITING: usize = 4;

type Chunks = Mutex<Receiver<Vec<u8>>>;

fn chunks() -> &'static Chunks {
    static CHUNKS: OnceLock<Chunks> = OnceLock::new();
    CHUNKS.get_or_init(|| {
        let (sender, receiver) = sync_channel(WAITING);
        let reader = thread::Builder::new().name("stdin".to_owned()).spawn(move || pump(io::stdin(), &sender));
        // Without a thread the channel is closed, which reads as an empty standard input.
        drop(reader);
        Mutex::new(receiver)
    })
}

fn pump(mut input: impl Read, sender: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                let chunk = buffer.get(..read).unwrap_or_default().to_vec();
                if sender.send(chunk).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The standard input of one task.
pub struct StandardInput {
    lines: Lines,
    make: MakeRecord,
}

/// Chunks in, lines out.
struct Lines {
    rules: LineRules,
    rest: Vec<u8>,
    block: Option<Block>,
    position: u64,
    part: u32,
    skipping: bool,
    ended: bool,
}

impl StandardInput {
    /// Starts the reading thread unless there is one.
    pub fn new(rules: LineRules, make: MakeRecord) -> Self {
        chunks();
        Self { lines: Lines::new(rules), make }
    }

    /// What is there now.
    pub fn read(&mut self, limits: Limits) -> Result<SourceBatch> {
        let mut batch = SourceBatch::default();
        let name = Str::from_static("stdin");
        let mut bytes = 0;
        while batch.records.len() < limits.records && bytes < limits.bytes {
            if let Some(line) = self.lines.next()? {
                bytes += line.text.len();
                batch.records.push((self.make)(&name, line));
                continue;
            }
            let next = chunks().lock().unwrap_or_else(PoisonError::into_inner).try_recv();
            match next {
                Ok(chunk) => self.lines.add(&chunk),
                Err(TryRecvError::Disconnected) if !self.lines.ended => self.lines.end(),
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    /// Waits for more. False when there will be none: the input has ended.
    pub fn wait(&mut self, most: Duration) -> bool {
        let next = chunks().lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(most);
        match next {
            Ok(chunk) => self.lines.add(&chunk),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }
}

impl Lines {
    fn new(rules: LineRules) -> Self {
        Self { rules, rest: Vec::new(), block: None, position: 0, part: 0, skipping: false, ended: false }
    }

    fn add(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        self.cut();
    }

    fn end(&mut self) {
        self.ended = true;
        self.cut();
    }

    /// Makes a block of what is complete.
    fn cut(&mut self) {
        let unit = self.rules.encoding.unit();
        if self.skipping {
            match find_line_end(&self.rest, 0, unit, self.ended) {
                Some(end) => {
                    self.rest.drain(..end.next);
                    self.skipping = false;
                }
                None => {
                    let keep = self.rest.len().min(unit.size() + self.rest.len() % unit.size());
                    self.rest.drain(..self.rest.len() - keep);
                    return;
                }
            }
        }
        let lines = if self.ended { self.rest.len() } else { last_line_end(&self.rest, unit) };
        let over = lines == 0 && self.rest.len() > self.rules.max_line + 2 * unit.size();
        if lines == 0 && !over {
            return;
        }
        if over && self.rules.long == LongLines::Truncate {
            let raw = Bytes::from(std::mem::take(&mut self.rest));
            let next = self.position + raw.len() as u64;
            self.block = Some(Block::of_truncated(raw, self.position, &self.rules, next));
            self.skipping = true;
            return;
        }
        let raw: Vec<u8> = if over { std::mem::take(&mut self.rest) } else { self.rest.drain(..lines).collect() };
        self.block = Some(Block::of_lines(Bytes::from(raw), self.position, &self.rules, !over));
    }

    fn next(&mut self) -> Result<Option<Line>> {
        let Some(block) = &mut self.block else { return Ok(None) };
        let line = block.next(&self.rules, &mut self.part);
        let line = line.map_err(|error| ConnectorError::data(format!("the standard input can't be read: {error}")))?;
        self.position = block.position();
        if line.is_none() {
            let mut rest = block.rest().to_vec();
            rest.append(&mut self.rest);
            self.rest = rest;
            self.block = None;
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Encoding, InvalidText};

    fn lines(long: LongLines, chunks: &[&str]) -> Vec<String> {
        let rules = LineRules { encoding: Encoding::Utf8, invalid: InvalidText::Replace, max_line: 8, long };
        let (mut lines, mut found) = (Lines::new(rules), Vec::new());
        for chunk in chunks.iter().map(Some).chain([None]) {
            match chunk {
                Some(chunk) => lines.add(chunk.as_bytes()),
                None => lines.end(),
            }
            while let Some(line) = lines.next().unwrap() {
                found.push(line.text.to_string());
            }
        }
        found
    }

    #[test]
    fn lines_do_not_depend_on_how_they_arrive() {
        let chunks = ["one\ntw", "o\r", "\nthree\r", "four\n", "", "rest"];
        assert_eq!(lines(LongLines::Fail, &chunks), ["one", "two", "three", "four", "rest"]);
    }

    #[test]
    fn endless_lines_take_bounded_memory() {
        let endless = ["abcdefgh"; 5];
        let mut chunks = endless.to_vec();
        chunks.push("\nnext\n");
        assert_eq!(lines(LongLines::Truncate, &chunks), ["abcdefgh", "next"]);
        let split = lines(LongLines::Split, &chunks);
        assert_eq!(split.concat(), format!("{}next", endless.concat()));
    }

    #[test]
    fn the_reading_thread_hands_over_all_bytes() {
        let (sender, receiver) = sync_channel(100);
        let input = vec![7; 3 * CHUNK + 5];
        pump(input.as_slice(), &sender);
        drop(sender);
        assert_eq!(receiver.iter().flatten().collect::<Vec<u8>>(), input);
    }
}
