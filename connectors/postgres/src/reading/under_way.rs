//! Transactions that the server sends before their end: told apart from what has committed, kept, and delivered at
//! their commit as if they had come then.

use super::{engine::Engine, spill::Spill, stream::Streaming};
use crate::{
    error::{Error, Result},
    pgoutput::{Message, Piece},
};
use levada_connector_api::Bytes;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// The transactions under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    directory: PathBuf,
    spills: HashMap<u32, Spill>,
    /// The transaction that the messages now are of.
    open: Option<u32>,
}

impl UnderWay {
    /// With files in `directory`, or where the system has such files.
    pub fn new(directory: Option<&str>) -> Self {
        let directory = directory.filter(|path| !path.trim().is_empty());
        let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
        Self { directory, spills: HashMap::new(), open: None }
    }

    fn keep(&mut self, open: u32, lsn: u64, message: &[u8]) -> Result<()> {
        let Some((xid, kind, rest)) = Piece::within(open, message)? else { return Ok(()) };
        self.spills.entry(open).or_default().keep(&self.directory, xid, lsn, kind, rest)
    }
}

impl Engine {
    /// Takes a message when it is of a transaction under way or about one; `false` when it is not.
    pub(super) async fn piece(
        &mut self,
        streaming: &mut Streaming,
        lsn: u64,
        message: &Bytes,
        interval: Duration,
    ) -> Result<bool> {
        let under_way = &mut streaming.under_way;
        match (Piece::parse(message)?, under_way.open) {
            (Some(Piece::Stop), _) => under_way.open = None,
            (_, Some(open)) => under_way.keep(open, lsn, message)?,
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
                self.replay(streaming, spill, (xid, commit, end, micros), interval).await?;
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
        interval: Duration,
    ) -> Result<()> {
        let directory = streaming.under_way.directory.clone();
        let mut replay = spill.replay(&directory)?;
        self.message(streaming, end, &Bytes::new(), Message::Begin { commit, commit_micros, xid }).await?;
        while let Some(kept) = replay.next(Path::new(&directory))? {
            self.message(streaming, kept.lsn, &kept.message, Message::parse(&kept.message)?).await?;
            if self.is_full() {
                self.deliver(streaming, interval).await?;
                if self.shared.stopping() {
                    return Err(Error::Stopped);
                }
                // Nobody reads meanwhile: the server hears that somebody is here all the same.
                self.report(streaming, interval).await?;
            }
        }
        streaming.heard_at = Instant::now();
        self.message(streaming, end, &Bytes::new(), Message::Commit { end }).await
    }
}
