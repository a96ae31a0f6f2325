//! Records beside those of tables: transactions, messages, heartbeats.

use super::{Batch, Emitter, Moment, TransactionCount, emitter::now_nanos};
use crate::datatype::binary;
use levada_connector_api::{Bytes, Headers, SourceRecord, Str, Value};
use std::sync::Arc;

fn record(topic: &Arc<str>, key: Value, value: Value) -> SourceRecord {
    let schema = |value: &Value| match value {
        Value::Struct(value) => Some(Arc::clone(&value.schema)),
        _ => None,
    };
    SourceRecord {
        topic: Arc::clone(topic),
        partition: None,
        key_schema: schema(&key),
        key,
        value_schema: schema(&value),
        value,
        timestamp: None,
        headers: Headers::new(),
    }
}

impl Emitter {
    /// A transaction begins. One that a stored offset stands in the midst of goes on being counted.
    pub fn begin(&mut self, xid: u32, moment: &Moment, batch: &mut Batch) {
        if !self.options.transactions || self.transaction.as_ref().is_some_and(|count| count.xid == xid) {
            return;
        }
        self.transaction = Some(TransactionCount::new(xid));
        let id = format!("{xid}:{}", moment.lsn);
        self.boundary("BEGIN", id, Value::Null, Value::Null, moment.micros, batch);
    }

    /// The transaction ends.
    pub fn end(&mut self, moment: &Moment, batch: &mut Batch) {
        let Some(count) = self.transaction.take() else { return };
        let collection = |(name, events): (String, i64)| {
            Value::structure(Arc::clone(&self.schemas.collection), vec![Value::string(name), Value::Int64(events)])
        };
        let collections = Value::Array(count.collections.into_iter().map(collection).collect());
        let id = format!("{}:{}", count.xid, moment.lsn);
        self.boundary("END", id, Value::Int64(count.total), collections, moment.micros, batch);
    }

    fn boundary(
        &self,
        status: &'static str,
        id: String,
        events: Value,
        collections: Value,
        micros: i64,
        batch: &mut Batch,
    ) {
        let id = Str::from(id);
        let key = Value::structure(Arc::clone(&self.schemas.transaction_key), vec![Value::String(id.clone())]);
        let values = vec![
            Value::String(Str::from_static(status)),
            Value::String(id),
            events,
            collections,
            Value::Int64(micros.div_euclid(1000)),
        ];
        batch.push(record(
            &self.transaction_topic,
            key,
            Value::structure(Arc::clone(&self.schemas.transaction_value), values),
        ));
    }

    /// A message of `pg_logical_emit_message`.
    pub fn message(&mut self, prefix: &str, content: Bytes, moment: &Moment, batch: &mut Batch) {
        if !self.options.messages.chooses(prefix) || self.skips("m") {
            return;
        }
        let transaction = match moment.tx_id {
            Some(_) => self.transaction_block("LOGICAL_DECODING_MESSAGE", moment),
            None => Value::Null,
        };
        let prefix = Value::string(prefix);
        let block = vec![prefix.clone(), binary(content, self.options.binary)];
        let nowhere = Str::from_static("");
        let values = vec![
            Value::String(Str::from_static("m")),
            Value::Int64(now_nanos() / 1_000_000),
            self.source(moment, &nowhere, &nowhere),
            transaction,
            Value::structure(Arc::clone(&self.schemas.message_block), block),
        ];
        let key = Value::structure(Arc::clone(&self.schemas.message_key), vec![prefix]);
        batch.push(record(&self.message_topic, key, Value::structure(Arc::clone(&self.schemas.message_value), values)));
    }

    /// A sign of life.
    pub fn heartbeat(&self, batch: &mut Batch) {
        let key =
            Value::structure(Arc::clone(&self.schemas.heartbeat_key), vec![Value::string(self.options.prefix.clone())]);
        let value =
            Value::structure(Arc::clone(&self.schemas.heartbeat_value), vec![Value::Int64(now_nanos() / 1_000_000)]);
        batch.push(record(&self.heartbeat_topic, key, value));
    }
}
