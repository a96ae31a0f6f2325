//! Which transactions a snapshot does not see though the stream has shown their commit.
//!
//! A commit is in the log before other sessions see it: its process may sleep between the two, or wait for a synchronous
//! standby. A chunk that was read in that time is older than what was sent. Once one snapshot sees a transaction, all later
//! ones do, so what a snapshot sees is forgotten; what stays are at most as many as the server has sessions.

/// Commits after which a snapshot is asked for to forget by.
const MANY: usize = 8192;

/// A snapshot as `pg_current_snapshot` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The first number that was not given to a transaction.
    next: u64,
    /// Transactions before it that had not ended.
    running: Vec<u64>,
}

impl Snapshot {
    /// Of the text `xmin:xmax:running,...`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':').skip(1);
        let next = parts.next()?.parse().ok()?;
        let running = parts.next()?.split(',').filter(|number| !number.is_empty());
        Some(Self { next, running: running.map(|number| number.parse().ok()).collect::<Option<_>>()? })
    }

    /// Whether it sees a transaction that has committed. The stream has 32 bits of the number only.
    fn sees(&self, xid: u32) -> bool {
        let ahead = xid.wrapping_sub(self.next as u32).cast_signed();
        ahead < 0 && !self.running.iter().any(|running| *running as u32 == xid)
    }
}

/// Transactions whose commit was streamed and that no snapshot was seen to see.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    xids: Vec<u32>,
    /// Transactions that had not ended when the stream began: the stream before it may have shown their commit.
    doubtful: Vec<u32>,
    /// When that was, by the server's clock.
    since: String,
}

impl Seen {
    /// For a stream that begins now, with the snapshot of now and then the server's clock.
    pub fn beginning(now: &Snapshot, since: &str) -> Self {
        let doubtful = now.running.iter().map(|xid| *xid as u32).collect();
        Self { xids: Vec::new(), doubtful, since: since.to_owned() }
    }

    /// The stream has shown a commit.
    pub fn committed(&mut self, xid: u32) {
        self.doubtful.retain(|doubtful| *doubtful != xid);
        self.xids.push(xid);
    }

    /// Whether it is time to forget by a snapshot.
    pub fn is_full(&self) -> bool {
        self.xids.len() >= MANY
    }

    /// Forgets what a snapshot sees.
    pub fn forget(&mut self, snapshot: &Snapshot) {
        self.xids.retain(|xid| !snapshot.sees(*xid));
        self.doubtful.retain(|xid| !snapshot.sees(*xid));
    }

    /// A transaction that was streamed and is not seen.
    pub fn hidden(&self) -> Option<u32> {
        self.xids.first().copied()
    }

    /// When the stream began.
    pub fn since(&self) -> &str {
        &self.since
    }

    /// Transactions of which that is not known.
    pub fn doubtful(&self) -> &[u32] {
        &self.doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_what_had_ended_before_it() {
        let snapshot = Snapshot::parse("740:745:740,743").unwrap();
        let seen: Vec<_> = (739..747).filter(|xid| snapshot.sees(*xid)).collect();
        assert_eq!(seen, [739, 741, 742, 744]);
        assert_eq!(Snapshot::parse("5:5:").unwrap(), Snapshot { next: 5, running: Vec::new() });
        for wrong in ["", "5", "5:x:", "5:6:y"] {
            assert_eq!(Snapshot::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_compared_around_their_end() {
        // One epoch on: 2^32 + 10.
        let snapshot = Snapshot::parse("4294967295:4294967306:4294967295").unwrap();
        assert!(snapshot.sees(4_294_967_290) && snapshot.sees(9));
        assert!(!snapshot.sees(4_294_967_295) && !snapshot.sees(10) && !snapshot.sees(11));
    }

    #[test]
    fn what_is_seen_once_is_forgotten() {
        let mut seen = Seen::beginning(&Snapshot::parse("5:10:5,7").unwrap(), "");
        (0..MANY as u32 - 1).for_each(|index| seen.committed(100 + index));
        assert!(!seen.is_full());
        seen.committed(7);
        assert!(seen.is_full());
        seen.forget(&Snapshot::parse("5:20000:5,7,300").unwrap());
        assert_eq!((seen.xids.as_slice(), seen.doubtful()), ([300, 7].as_slice(), [5].as_slice()));
        seen.forget(&Snapshot::parse("20001:20001:").unwrap());
        assert_eq!((seen.hidden(), seen.doubtful().len()), (None, 0));
    }
}
