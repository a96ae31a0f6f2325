//! How many events of which tables a transaction has had.

/// The count of a transaction; part of the offset while it is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionCount {
    /// Number of the transaction.
    pub xid: u32,
    /// Events so far.
    pub total: i64,
    /// Events so far by table, in order of the first.
    pub collections: Vec<(String, i64)>,
}

impl TransactionCount {
    /// A transaction without events.
    pub fn new(xid: u32) -> Self {
        Self { xid, ..Self::default() }
    }

    /// Counts an event; its place in the transaction and among those of its table.
    pub fn count(&mut self, collection: &str) -> (i64, i64) {
        self.total += 1;
        match self.collections.iter_mut().find(|(name, _)| name == collection) {
            Some((_, count)) => {
                *count += 1;
                (self.total, *count)
            }
            None => {
                self.collections.push((collection.to_owned(), 1));
                (self.total, 1)
            }
        }
    }
}
