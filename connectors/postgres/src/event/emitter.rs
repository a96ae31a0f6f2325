//! Makes records. Holds what all of them share, so that one costs its own values and little else.

use super::{SharedSchemas, TransactionCount};
use crate::{config::BinaryMode, filter::Choice, naming::Naming, table::Table};
use levada_connector_api::{Header, Headers, SourceRecord, Str, Struct, Value};
use std::{
    fmt::Write,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Bytes of memory that a record takes beside its values, about.
const RECORD_OVERHEAD: usize = 1024;

/// What decides how events look.
#[derive(Clone, Debug)]
pub struct EmitterOptions {
    /// `topic.prefix`.
    pub prefix: String,
    /// Database.
    pub database: String,
    /// Number of the task.
    pub task: usize,
    /// Identity of this run.
    pub run_id: String,
    /// `extended.headers.enabled`.
    pub headers: bool,
    /// `tombstones.on.delete`.
    pub tombstones: bool,
    /// `skipped.operations`.
    pub skipped: Vec<String>,
    /// `skip.messages.without.change`.
    pub skip_unchanged: bool,
    /// `provide.transaction.metadata`.
    pub transactions: bool,
    /// `binary.handling.mode`.
    pub binary: BinaryMode,
    /// Prefixes of messages.
    pub messages: Choice,
}

/// Records on their way to the queue.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records in order.
    pub records: Vec<SourceRecord>,
    /// Bytes of memory they take, about.
    pub bytes: usize,
}

impl Batch {
    /// Counts `bytes` more of memory.
    pub fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(super) fn push(&mut self, record: SourceRecord) {
        self.bytes += RECORD_OVERHEAD;
        self.records.push(record);
    }
}

/// A row's place in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMark {
    /// It comes from the stream.
    Streaming,
    /// It comes from an incremental snapshot.
    Incremental,
    /// In the middle.
    Snapshot,
    /// The first of all.
    First,
    /// The first of its table.
    FirstInTable,
    /// The last of its table.
    LastInTable,
    /// The last of all.
    Last,
}

impl SnapshotMark {
    fn text(self) -> Str {
        Str::from_static(match self {
            Self::Streaming => "false",
            Self::Incremental => "incremental",
            Self::Snapshot => "true",
            Self::First => "first",
            Self::FirstInTable => "first_in_data_collection",
            Self::LastInTable => "last_in_data_collection",
            Self::Last => "last",
        })
    }
}

/// When and where in the log something happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Microseconds since 1970: of the commit, or of the snapshot's reading.
    pub micros: i64,
    /// Number of the transaction.
    pub tx_id: Option<i64>,
    /// Position.
    pub lsn: u64,
    /// Position behind the last commit before.
    pub last_commit: Option<u64>,
    /// The slot's xmin.
    pub xmin: Option<i64>,
    /// Where the transaction came from.
    pub origin: Option<(Str, i64)>,
    /// Place in a snapshot.
    pub mark: SnapshotMark,
}

/// A block `source`, and what it is of.
struct SharedBlock {
    moment: Moment,
    schema: Str,
    table: Str,
    block: Arc<Struct>,
}

/// Makes records.
pub struct Emitter {
    pub(super) options: EmitterOptions,
    pub(super) schemas: SharedSchemas,
    pub(super) transaction_topic: Arc<str>,
    pub(super) heartbeat_topic: Arc<str>,
    pub(super) message_topic: Arc<str>,
    /// The transaction under way, while transactions are counted.
    pub(super) transaction: Option<TransactionCount>,
    pub(super) headers: Headers,
    version: Str,
    connector: Str,
    prefix: Str,
    database: Str,
    /// Where texts are written.
    text: String,
    /// The block `source` of the last row that was not of the stream: most rows of a snapshot share it.
    shared: Option<SharedBlock>,
}

impl Emitter {
    /// With the schemas that its events share with the tables'.
    pub fn new(options: EmitterOptions, schemas: SharedSchemas, naming: &Naming) -> Self {
        let header = |key: &'static str, value: Str| Header {
            key: Str::from_static(key),
            schema: Some(Arc::clone(&schemas.text)),
            value: Value::String(value),
        };
        let headers = if options.headers {
            Headers::from(vec![
                header("__debezium.context.connectorLogicalName", options.prefix.clone().into()),
                header("__debezium.context.taskId", options.task.to_string().into()),
                header("__debezium.context.connectorName", Str::from_static("postgresql")),
                header("__debezium.context.runId", options.run_id.clone().into()),
            ])
        } else {
            Headers::new()
        };
        Self {
            transaction_topic: naming.transactions(),
            heartbeat_topic: naming.heartbeats(),
            message_topic: naming.messages(),
            transaction: None,
            headers,
            version: Str::from_static(crate::VERSION),
            connector: Str::from_static("postgresql"),
            prefix: options.prefix.clone().into(),
            database: options.database.clone().into(),
            text: String::new(),
            shared: None,
            options,
            schemas,
        }
    }

    /// The count of the transaction under way, for the offset.
    pub fn transaction(&self) -> Option<&TransactionCount> {
        self.transaction.as_ref()
    }

    /// Goes on with a count that was stored.
    pub fn resume_transaction(&mut self, count: Option<TransactionCount>) {
        self.transaction = count.filter(|_| self.options.transactions);
    }

    /// Whether events of this operation are left out.
    pub fn skips(&self, operation: &str) -> bool {
        self.options.skipped.iter().any(|skipped| skipped == operation)
    }

    /// Block `source`.
    pub(super) fn source(&mut self, moment: &Moment, schema: &Str, table: &Str) -> Value {
        if moment.mark == SnapshotMark::Streaming {
            return Value::Struct(Arc::new(self.source_block(moment, schema, table)));
        }
        if let Some(shared) = &self.shared
            && (&shared.moment, &shared.schema, &shared.table) == (moment, schema, table)
        {
            return Value::Struct(Arc::clone(&shared.block));
        }
        let block = Arc::new(self.source_block(moment, schema, table));
        self.shared = Some(SharedBlock {
            moment: moment.clone(),
            schema: schema.clone(),
            table: table.clone(),
            block: Arc::clone(&block),
        });
        Value::Struct(block)
    }

    fn source_block(&mut self, moment: &Moment, schema: &Str, table: &Str) -> Struct {
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Int64);
        self.text.clear();
        // Writing to a text can't fail.
        let _ = match moment.last_commit {
            Some(commit) => write!(self.text, "[\"{commit}\",\"{}\"]", moment.lsn),
            None => write!(self.text, "[null,\"{}\"]", moment.lsn),
        };
        let (origin, origin_lsn) = match &moment.origin {
            Some((name, lsn)) => (Value::String(name.clone()), Value::Int64(*lsn)),
            None => (Value::Null, Value::Null),
        };
        let values = vec![
            Value::String(self.version.clone()),
            Value::String(self.connector.clone()),
            Value::String(self.prefix.clone()),
            Value::Int64(moment.micros.div_euclid(1000)),
            Value::String(moment.mark.text()),
            Value::String(self.database.clone()),
            Value::string(self.text.as_str()),
            Value::Int64(moment.micros),
            Value::Int64(moment.micros.saturating_mul(1000)),
            Value::String(schema.clone()),
            Value::String(table.clone()),
            number(moment.tx_id),
            Value::Int64(moment.lsn as i64),
            number(moment.xmin),
            origin,
            origin_lsn,
        ];
        Struct { schema: Arc::clone(&self.schemas.source), values }
    }

    /// Changes a record's place in its snapshot, which is only known when the next row comes or none.
    pub fn mark(record: &mut SourceRecord, mark: SnapshotMark) {
        // `source` is the third field of an envelope, `snapshot` the fifth of a source.
        if let Value::Struct(envelope) = &mut record.value
            && let Some(Value::Struct(source)) = Arc::make_mut(envelope).values.get_mut(2)
            && let Some(snapshot) = Arc::make_mut(source).values.get_mut(4)
        {
            *snapshot = Value::String(mark.text());
        }
    }

    /// Block `transaction` of the next event of a table, which is counted by it.
    pub(super) fn transaction_block(&mut self, collection: &str, moment: &Moment) -> Value {
        let Some(count) = &mut self.transaction else { return Value::Null };
        let (total, place) = count.count(collection);
        let id = format!("{}:{}", count.xid, moment.lsn);
        let values = vec![Value::string(id), Value::Int64(total), Value::Int64(place)];
        Value::structure(Arc::clone(&self.schemas.transaction), values)
    }

    /// A record of a table.
    pub(super) fn record(&self, table: &Table, key: Value, value: Value, own: Option<Header>) -> SourceRecord {
        let headers = match own {
            None => self.headers.clone(),
            Some(own) => std::iter::once(own).chain(self.headers.iter().cloned()).collect(),
        };
        SourceRecord {
            topic: Arc::clone(&table.topic),
            partition: None,
            key_schema: table.key_schema().cloned(),
            key,
            value_schema: Some(Arc::clone(&table.envelope_schema)),
            value,
            timestamp: None,
            headers,
        }
    }
}

/// Nanoseconds since 1970 by this machine's clock.
pub(super) fn now_nanos() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
