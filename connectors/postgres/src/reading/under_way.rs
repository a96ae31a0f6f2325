//! Transactions that the server sends before their end: told apart from what has committed, kept, and delivered at
//! their commit as if they had come then.

use super::{engine::Engine, spill::Spill, stream::Streaming};
use crate::{
    error::{Error, Result},
    pgoutput::{Message, Piece, Relation},
};
use levada_connector_api::Bytes;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};
use tokio::time::Instant;

/// Bytes of memory that all of them may take before they are written.
const MEMORY: usize = 16 << 20;
/// Messages of a replay between two looks whether the task stops or the server waits.
const MESSAGES_AT_ONCE: usize = 1000;

/// The transactions under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    directory: PathBuf,
    spills: HashMap<u32, Spill>,
    /// The transaction that the messages now are of.
    open: Option<u32>,
    /// Whether anybody wants the rows of a table that was announced.
    wanted: HashMap<u32, bool>,
}

impl UnderWay {
    /// With files in `directory`, or where the system has such files.
    pub fn new(directory: Option<&str>) -> Self {
        let directory = directory.filter(|path| !path.trim().is_empty());
        let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
        Self { directory, spills: HashMap::new(), open: None, wanted: HashMap::new() }
    }

    /// Keeps a message, unless it is of a row that nobody wants: without a filter of the publication's the server sends the
    /// rows of all tables.
    fn keep(&mut self, open: u32, lsn: u64, message: &[u8], wants: impl Fn(&Relation) -> bool) -> Result<()> {
        let Some((xid, kind, rest)) = Piece::within(open, message)? else { return Ok(()) };
        match kind {
            b'R' => {
                if let Message::Relation(relation) = Message::parse(&[&[kind], rest].concat())? {
                    self.wanted.insert(relation.oid, wants(&relation));
                }
            }
            b'I' | b'U' | b'D' => {
                let oid = rest.first_chunk().map(|oid| u32::from_be_bytes(*oid));
                if oid.and_then(|oid| self.wanted.get(&oid)) == Some(&false) {
                    return Ok(());
                }
            }
            _ => {}
        }
        self.spills.entry(open).or_default().keep(&self.directory, xid, lsn, kind, rest)?;
        if self.spills.values().map(Spill::in_memory).sum::<usize>() > MEMORY {
            for spill in self.spills.values_mut() {
                spill.write_out(&self.directory)?;
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Takes a message when it is of a transaction under way or about one; `false` when it is not.
    pub(super) async fn piece(&mut self, streaming: &mut Streaming, lsn: u64, message: &Bytes) -> Result<bool> {
        let under_way = &mut streaming.under_way;
        let signals = self.settings.config.snapshot.source_channel();
        let wants = |relation: &Relation| {
            self.builder.filters().table(&relation.schema, &relation.name)
                || signals == Some(&format!("{}.{}", relation.schema, relation.name))
        };
        match (Piece::parse(message)?, under_way.open) {
            (Some(Piece::Stop), _) => under_way.open = None,
            (_, Some(open)) => under_way.keep(open, lsn, message, wants)?,
            (Some(Piece::Start(xid)), None) => {
                under_way.spills.entry(xid).or_default();
                under_way.open = Some(xid);
            }
            (Some(Piece::Abort { xid, part }), None) => {
                if xid == part {
                    under_way.spills.remove(&xid);
                } else if let Some(spill) = under_way.spills.get_mut(&xid) {
                    spill.abort(part);
                }
            }
            (Some(Piece::Commit { xid, commit, end, micros }), None) => {
                let spill = under_way.spills.remove(&xid);
                let spill = spill
                    .ok_or_else(|| Error::Protocol("the end of a transaction without its beginning".to_owned()))?;
                self.replay(streaming, spill, (xid, commit, end, micros)).await?;
            }
            (None, None) => return Ok(false),
        }
        Ok(true)
    }

    /// The transaction as protocol version 1 sends it.
    async fn replay(
        &mut self,
        streaming: &mut Streaming,
        spill: Spill,
        (xid, commit, end, commit_micros): (u32, u64, u64, i64),
    ) -> Result<()> {
        let directory = streaming.under_way.directory.clone();
        let mut replay = spill.replay(&directory)?;
        self.message(streaming, end, &Bytes::new(), Message::Begin { commit, commit_micros, xid }).await?;
        let mut since = 0;
        while let Some(kept) = replay.next(Path::new(&directory))? {
            since += 1;
            if since % MESSAGES_AT_ONCE == 0 {
                // Nobody reads meanwhile: the server hears that somebody is here all the same.
                self.report(streaming).await?;
                tokio::task::yield_now().await;
                if self.shared.stopping() {
                    return Err(Error::Stopped);
                }
            }
            self.message(streaming, kept.lsn, &kept.message, Message::parse(&kept.message)?).await?;
            if self.is_full() {
                self.deliver(streaming).await?;
            }
        }
        streaming.heard_at = Instant::now();
        self.message(streaming, end, &Bytes::new(), Message::Commit { end }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(oid: u8, name: &str) -> Vec<u8> {
        let mut message = vec![b'R', 0, 0, 0, 7, 0, 0, 0, oid];
        message.extend_from_slice(format!("public\0{name}\0d\0\0").as_bytes());
        message
    }

    #[test]
    fn rows_that_nobody_wants_are_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let mut under_way = UnderWay::new(home.path().to_str());
        let wants = |relation: &Relation| relation.name == "wanted";
        let insert = |oid: u8| [b"I\0\0\0\x07\0\0\0", &[oid][..], b"N\0\0"].concat();
        for message in [relation(1, "wanted"), relation(2, "other"), insert(1), insert(2), insert(3)] {
            under_way.keep(7, 1, &message, wants).unwrap();
        }
        let mut replay = under_way.spills.remove(&7).unwrap().replay(home.path()).unwrap();
        let kept = std::iter::from_fn(|| replay.next(home.path()).unwrap());
        let kept: Vec<_> = kept.map(|kept| (kept.message[0], kept.message[4])).collect();
        // Of one that was not announced nobody knows.
        assert_eq!(kept, [(b'R', 1), (b'R', 2), (b'I', 1), (b'I', 3)]);
    }
}
