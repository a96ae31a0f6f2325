//! Answers on their way out: memory by vectored writes, segment file ranges by sendfile.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use levada_env::Disk;
use levada_env::disk::{Advice, IoClass, run};
use levada_env::net::{TcpStream, sendfile};
use levada_wire::{Encoded, External, Segment};

use crate::api::{FileRecords, HeldMemory};
use crate::log::{FileRange, ReadData};

/// File ranges below this are read into memory: one write for the whole answer is then cheaper than a sendfile.
const SENDFILE_FROM: usize = 32 << 10;

/// Slices given to one vectored write.
const SLICES: usize = 64;

/// Bytes written so far, for whoever watches over a write.
pub(super) type Progress = AtomicU64;

/// What is waiting to be written to one connection.
#[derive(Default)]
pub(super) struct Output {
    segments: VecDeque<Segment>,
    len: usize,
    /// Held for the answers until all are written.
    memory: Vec<HeldMemory>,
}

impl Output {
    pub fn push(&mut self, answer: Encoded, memory: HeldMemory) {
        self.len += answer.len();
        if memory.bytes() > 0 {
            self.memory.push(memory);
        }
        self.segments.extend(answer.into_segments());
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether others wait for memory that this gives back when it is written.
    pub fn holds_memory(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Write everything; answers how many bytes that were.
    pub async fn flush(&mut self, stream: &TcpStream, disk: &dyn Disk, progress: &Progress) -> io::Result<usize> {
        let total = self.len;
        while let Some(front) = self.segments.front() {
            match front {
                Segment::External(external) => {
                    let external = external.clone();
                    self.send_external(stream, disk, &external, progress).await?;
                }
                Segment::Bytes(_) => self.write_bytes(stream, progress).await?,
            }
        }
        self.len = 0;
        self.memory.clear();
        Ok(total)
    }

    /// One vectored write of the memory at the front.
    async fn write_bytes(&mut self, stream: &TcpStream, progress: &Progress) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slot, segment) in slices.iter_mut().zip(&self.segments) {
            let Segment::Bytes(bytes) = segment else { break };
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let written = loop {
            match stream.try_write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => break written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
        };
        self.consume(written);
        progress.fetch_add(written as u64, Ordering::Relaxed);
        Ok(())
    }

    fn consume(&mut self, mut written: usize) {
        while let Some(Segment::Bytes(bytes)) = self.segments.front_mut() {
            if bytes.len() > written {
                bytes.advance(written);
                return;
            }
            written -= bytes.len();
            self.segments.pop_front();
        }
    }

    async fn send_external(
        &mut self,
        stream: &TcpStream,
        disk: &dyn Disk,
        external: &External,
        progress: &Progress,
    ) -> io::Result<()> {
        let Some(records) = external.handle::<FileRecords>() else {
            return Err(io::Error::other("answer has external data of an unknown kind"));
        };
        self.segments.pop_front();
        if external.len() < SENDFILE_FROM || records.range.file.descriptor().is_none() {
            let range = ReadData::File(records.range.clone());
            let chunks: Vec<Bytes> = records.log.materialise(range).await.map_err(io::Error::other)?;
            if chunks.iter().map(Bytes::len).sum::<usize>() != external.len() {
                // The segment was cut meanwhile; the peer was promised more.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for chunk in chunks.into_iter().rev() {
                self.segments.push_front(Segment::Bytes(chunk));
            }
            return Ok(());
        }
        read_ahead(disk, &records.range).await?;
        let range = &records.range;
        sendfile(stream, &*range.file, range.position, range.len as u64, progress).await
    }
}

/// Have a range that may not be in memory read in on the disk's own threads, so that sendfile does not block the runtime.
async fn read_ahead(disk: &dyn Disk, range: &FileRange) -> io::Result<()> {
    if range.file.is_cached(range.position, range.len as u64) {
        return Ok(());
    }
    let end = range.position + range.len as u64;
    let range = range.clone();
    let touch = move || {
        range.file.advise(range.position, range.len as u64, Advice::WillNeed);
        // Waiting for one byte of each stretch waits for the read-ahead of all of them.
        let mut byte = [0];
        for position in (range.position..end).step_by(128 << 10).chain([end - 1]) {
            let _ = range.file.read_at(&mut byte, position);
        }
    };
    run(disk, IoClass::Read, touch).await.map_err(io::Error::other)
}
