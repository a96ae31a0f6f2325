//! Source offsets: Debezium's keys, so that an offset of either goes on with the other, and a few of our own.
//!
//! Ours say which server and publication the position is of (`levada_system`, `levada_timeline`, `levada_publication`),
//! which tables were published (`levada_published`),
//! and how far a snapshot has come (`levada_snapshot`). Debezium leaves keys alone that it does not know.

use crate::{
    event::TransactionCount,
    signal::{Asked, Incremental},
};
use levada_connector_api::{OffsetMap, SourceOffset, SourcePartition};
use serde_json::{Value, json};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How far a snapshot has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tables that a signal has asked for, while the stream stands still; none in a snapshot of all tables.
    pub asked: Vec<Asked>,
    /// Tables that are read.
    pub done: Vec<String>,
    /// The tables that are being read.
    pub current: Vec<Current>,
}

/// How far a table is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Table.
    pub table: String,
    /// File of its rows: after a rewrite its pages mean nothing.
    pub file: u32,
    /// First page that is not read.
    pub page: u64,
    /// Number of the oldest transaction that the reading did not see the end of.
    pub xmin: u64,
}

/// A position in a database's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Position of the last event.
    pub lsn: u64,
    /// Position up to which the transaction under way is processed.
    pub processed: Option<u64>,
    /// Position behind the last transaction that is processed whole.
    pub commit: Option<u64>,
    /// Number of the last transaction.
    pub tx_id: Option<i64>,
    /// Microseconds since 1970 of the last event.
    pub micros: i64,
    /// Kind of the last event.
    pub message_type: Option<String>,
    /// Events at the position of the last one.
    pub events: u64,
    /// A snapshot that has begun, and whether it is complete.
    pub snapshot: Option<bool>,
    /// How far the snapshot has come.
    pub progress: Option<Progress>,
    /// How far an incremental snapshot has come.
    pub incremental: Option<Incremental>,
    /// Numbers of the captured tables, where they are remembered.
    pub tables: Option<BTreeSet<u32>>,
    /// Numbers of the captured tables that the publication shows, unless it is one of all tables.
    pub published: Option<Arc<BTreeSet<u32>>>,
    /// Offset of the next record in each partition of the topic of signals.
    pub signals: BTreeMap<i32, i64>,
    /// The server's identity.
    pub system: Option<String>,
    /// Its timeline.
    pub timeline: Option<i64>,
    /// Number of the publication.
    pub publication: Option<u32>,
    /// The transaction under way.
    pub transaction: Option<TransactionCount>,
}

/// Where streaming goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Transactions that commit behind it are streamed.
    pub from: u64,
    /// What was sent of the one that was under way.
    pub sent: Option<Sent>,
}

/// The events of a transaction that were sent before, when it had not been sent whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Number of the transaction; `None` stands for the first that comes.
    pub xid: Option<i64>,
    /// Position of the last event that was sent.
    pub until: u64,
    /// How many events at that position were sent.
    pub count: u64,
}

impl Sent {
    /// Whether it is about this transaction.
    pub fn is_of(&self, xid: u32) -> bool {
        self.xid.is_none_or(|own| own == i64::from(xid))
    }

    /// Whether the next event, at `lsn`, was sent; each is asked about once, in order.
    pub fn has(&mut self, lsn: u64) -> bool {
        let last = lsn == self.until && self.count > 0;
        self.count -= u64::from(last);
        lsn < self.until || last
    }
}

/// The partition of a topic prefix.
pub fn partition(prefix: &str) -> SourcePartition {
    OffsetMap::from_iter([("server".to_owned(), Value::String(prefix.to_owned()))])
}

const TRANSACTION_ORDER: &str = "transaction_data_collection_order_";

impl Position {
    /// Whether a snapshot has begun and is not complete.
    pub fn in_snapshot(&self) -> bool {
        self.snapshot == Some(false)
    }

    /// The blocking snapshot that a signal has asked for and that is not complete.
    pub fn blocking(&mut self) -> Option<&mut Progress> {
        self.progress.as_mut().filter(|progress| !progress.asked.is_empty())
    }

    /// Where streaming goes on.
    pub fn resume(&self) -> Resume {
        let from = self.commit.or(self.processed).unwrap_or(self.lsn);
        // Rows that lie before the last commit are of a transaction that began before that: ours are told apart by
        // being set to the commit's position at each commit. Of Debezium's that is not known, so it is sent whole.
        let ours = self.system.is_some();
        // A transaction's first change may stand exactly where the commit before it ends.
        let kinds = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];
        let of_change = self.events > 0 && self.message_type.as_deref().is_some_and(|kind| kinds.contains(&kind));
        let within = |processed: u64| match processed.cmp(&from) {
            Ordering::Greater => true,
            Ordering::Equal => of_change,
            Ordering::Less => ours,
        };
        let under_way = |processed: &u64| self.commit.is_some() && within(*processed);
        let until = self.processed.filter(under_way);
        Resume { from, sent: until.map(|until| Sent { xid: self.tx_id, until, count: self.events.max(1) }) }
    }

    /// As an offset.
    pub fn to_offset(&self) -> SourceOffset {
        let mut map = OffsetMap::new();
        let mut set = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        let number = |number: u64| json!(number as i64);
        set("ts_usec", json!(self.micros));
        if let Some(tx_id) = self.tx_id {
            set("txId", json!(tx_id));
        }
        set("lsn", number(self.lsn));
        if let Some(complete) = self.snapshot {
            set("snapshot", json!("INITIAL"));
            set("last_snapshot_record", json!(complete));
            set("snapshot_completed", json!(complete));
        }
        if let Some(processed) = self.processed {
            set("lsn_proc", number(processed));
        }
        if let Some(commit) = self.commit {
            set("lsn_commit", number(commit));
        }
        if let Some(kind) = &self.message_type {
            set("messageType", json!(kind));
        }
        if self.events > 0 {
            set("lsn_events_processed", json!(self.events));
        }
        if let Some(count) = &self.transaction {
            set("transaction_id", json!(count.xid.to_string()));
            for (table, events) in &count.collections {
                set(&format!("{TRANSACTION_ORDER}{table}"), json!(events));
            }
        }
        if let Some(system) = &self.system {
            set("levada_system", json!(system));
        }
        if let Some(timeline) = self.timeline {
            set("levada_timeline", json!(timeline));
        }
        if let Some(publication) = self.publication {
            set("levada_publication", json!(publication));
        }
        if let Some(progress) = &self.progress {
            set("levada_snapshot", progress.to_json());
        }
        if let Some(incremental) = &self.incremental {
            set("levada_incremental", incremental.to_json());
        }
        if let Some(tables) = &self.tables {
            set("levada_tables", distances(tables));
        }
        if let Some(published) = &self.published {
            set("levada_published", distances(published));
        }
        if !self.signals.is_empty() {
            let signals: Vec<_> = self.signals.iter().collect();
            set("levada_signals", json!(signals));
        }
        map
    }

    /// Of an offset; the error says what is wrong with it.
    pub fn from_offset(offset: &SourceOffset) -> Result<Self, String> {
        let number = |key: &str| match offset.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("its `{key}` is no whole number")),
        };
        let place = |key: &str| Ok::<_, String>(number(key)?.map(|lsn| lsn as u64));
        let text = |key: &str| offset.get(key).and_then(Value::as_str).map(str::to_owned);
        let flag = |key: &str| offset.get(key).and_then(Value::as_bool).unwrap_or(false);
        let started = matches!(offset.get("snapshot"), Some(Value::String(_) | Value::Bool(true)));
        Ok(Self {
            lsn: place("lsn")?.ok_or("it has no `lsn`")?,
            processed: place("lsn_proc")?,
            commit: place("lsn_commit")?,
            tx_id: number("txId")?,
            micros: number("ts_usec")?.unwrap_or(0),
            message_type: text("messageType"),
            events: number("lsn_events_processed")?.unwrap_or(0).max(0) as u64,
            snapshot: started.then(|| flag("last_snapshot_record") || flag("snapshot_completed")),
            progress: offset.get("levada_snapshot").and_then(Progress::from_json),
            incremental: offset.get("levada_incremental").and_then(Incremental::from_json),
            tables: offset.get("levada_tables").and_then(tables),
            published: offset.get("levada_published").and_then(tables).map(Arc::new),
            signals: signals(offset),
            system: text("levada_system"),
            timeline: number("levada_timeline")?,
            publication: number("levada_publication")?.and_then(|oid| u32::try_from(oid).ok()),
            transaction: transaction(offset),
        })
    }
}

/// Numbers of tables by their distances: there may be many, and offsets are written often.
fn distances(tables: &BTreeSet<u32>) -> Value {
    let mut before = 0;
    tables.iter().map(|oid| oid - std::mem::replace(&mut before, *oid)).collect()
}

fn tables(distances: &Value) -> Option<BTreeSet<u32>> {
    let mut oid = 0_u32;
    let mut next = |distance: &Value| {
        oid = oid.checked_add(u32::try_from(distance.as_u64()?).ok()?)?;
        Some(oid)
    };
    distances.as_array()?.iter().map(&mut next).collect()
}

fn signals(offset: &SourceOffset) -> BTreeMap<i32, i64> {
    let places = offset.get("levada_signals").and_then(Value::as_array).into_iter().flatten();
    places.filter_map(|place| Some((i32::try_from(place.get(0)?.as_i64()?).ok()?, place.get(1)?.as_i64()?))).collect()
}

fn transaction(offset: &SourceOffset) -> Option<TransactionCount> {
    let id = offset.get("transaction_id")?;
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    // Debezium appends the position to the number.
    let xid = id.split(':').next()?.parse().ok()?;
    let count =
        |(key, value): (&String, &Value)| Some((key.strip_prefix(TRANSACTION_ORDER)?.to_owned(), value.as_i64()?));
    let collections: Vec<_> = offset.iter().filter_map(count).collect();
    let total = collections.iter().map(|(_, count)| count).sum();
    Some(TransactionCount { xid, total, collections })
}

impl Progress {
    fn to_json(&self) -> Value {
        let current = |current: &Current| json!({ "table": current.table, "file": current.file, "page": current.page, "xmin": current.xmin });
        let current: Vec<_> = self.current.iter().map(current).collect();
        let mut value = json!({ "done": self.done, "current": current });
        if !self.asked.is_empty() {
            value["asked"] = self.asked.iter().map(Asked::to_json).collect();
        }
        value
    }

    fn from_json(value: &Value) -> Option<Self> {
        let done =
            value.get("done")?.as_array()?.iter().filter_map(|table| table.as_str().map(str::to_owned)).collect();
        let current = |current: &Value| {
            Some(Current {
                table: current.get("table")?.as_str()?.to_owned(),
                file: u32::try_from(current.get("file")?.as_u64()?).ok()?,
                page: current.get("page")?.as_u64()?,
                xmin: current.get("xmin")?.as_u64()?,
            })
        };
        let current = match value.get("current") {
            Some(Value::Array(tables)) => tables.iter().filter_map(current).collect(),
            // Of a version that read one table at a time.
            other => other.and_then(current).into_iter().collect(),
        };
        let asked = value.get("asked").and_then(Value::as_array).into_iter().flatten();
        Some(Self { asked: asked.filter_map(Asked::from_json).collect(), done, current })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Position {
        Position::from_offset(value.as_object().unwrap()).unwrap()
    }

    #[test]
    fn an_offset_comes_back_as_it_was() {
        let position = Position {
            lsn: u64::MAX - 5,
            processed: Some(30),
            commit: Some(20),
            tx_id: Some(7),
            micros: 5,
            message_type: Some("INSERT".to_owned()),
            events: 2,
            snapshot: Some(false),
            progress: Some(Progress {
                asked: vec![Asked { table: "a.b".to_owned(), filter: Some("x".to_owned()) }],
                done: vec!["a.b".to_owned()],
                current: vec![Current { table: "c.d".to_owned(), file: 9, page: 4, xmin: 3 }],
            }),
            incremental: Some(Incremental { paused: true, ..Incremental::default() }),
            tables: Some(BTreeSet::from([16_384, u32::MAX, 16_390])),
            published: Some(Arc::new((20_000..21_000).collect())),
            signals: BTreeMap::from([(0, 5)]),
            system: Some("1".to_owned()),
            timeline: Some(1),
            publication: Some(u32::MAX),
            transaction: Some(TransactionCount { xid: 7, total: 3, collections: vec![("a.b".to_owned(), 3)] }),
        };
        let offset = position.to_offset();
        assert_eq!(Position::from_offset(&offset).unwrap(), position);
        assert!(offset["levada_published"].to_string().len() < 2100, "a thousand tables are little");
    }

    #[test]
    fn what_was_sent_of_a_transaction_is_told_whether_its_rows_lie_behind_the_last_commit_or_before() {
        let resume = |processed, system: Option<&str>| {
            let position = Position {
                lsn: processed,
                processed: Some(processed),
                commit: Some(100),
                tx_id: Some(7),
                events: 2,
                system: system.map(str::to_owned),
                ..Position::default()
            };
            position.resume().sent
        };
        let sent = |until| Some(Sent { xid: Some(7), until, count: 2 });
        assert_eq!(resume(120, Some("1")), sent(120));
        assert_eq!(resume(80, Some("1")), sent(80));
        assert_eq!(resume(100, Some("1")), None, "between two transactions");
        assert_eq!(resume(80, None), None, "Debezium's may be of the one before");
        let mut sent = sent(80).unwrap();
        assert!(sent.is_of(7) && !sent.is_of(8));
        let asked: Vec<_> = [70, 80, 80, 80, 90].into_iter().map(|lsn| sent.has(lsn)).collect();
        assert_eq!(asked, [true, true, true, false, false]);
    }

    #[test]
    fn debeziums_offsets_are_understood() {
        let streaming = read(json!({
            "transaction_id": null, "lsn_proc": 24_023_128, "messageType": "INSERT", "lsn_commit": 24_023_000,
            "lsn": 24_023_128, "txId": 555, "ts_usec": 1_700_000_000_000_000_i64, "lsn_events_processed": 3
        }));
        assert_eq!(
            streaming.resume(),
            Resume { from: 24_023_000, sent: Some(Sent { xid: Some(555), until: 24_023_128, count: 3 }) }
        );
        let first = read(json!({
            "lsn_proc": 500, "messageType": "INSERT", "lsn_commit": 500, "lsn": 500, "lsn_events_processed": 1
        }));
        let behind = Some(Sent { xid: None, until: 500, count: 1 });
        assert_eq!(first.resume(), Resume { from: 500, sent: behind }, "a change right behind the commit");
        let between = Position { message_type: Some("COMMIT".to_owned()), ..first };
        assert_eq!(between.resume(), Resume { from: 500, sent: None });
        let done = read(
            json!({"lsn": 5, "txId": 1, "ts_usec": 1, "snapshot": "INITIAL", "last_snapshot_record": true, "snapshot_completed": true}),
        );
        assert!(!done.in_snapshot());
        assert_eq!(done.resume(), Resume { from: 5, sent: None });
        let midway = read(json!({"lsn": 5, "snapshot": true, "last_snapshot_record": false}));
        assert!(midway.in_snapshot());
        assert!(Position::from_offset(json!({"lsn": "x"}).as_object().unwrap()).is_err());
        assert!(Position::from_offset(json!({"a": 1}).as_object().unwrap()).is_err());
    }
}
