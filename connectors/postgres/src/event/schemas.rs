//! Schemas that all tables share.

use crate::{config::BinaryMode, naming::Naming};
use levada_connector_api::{Schema, SchemaType, Str, Value};
use std::sync::Arc;

fn plain(kind: SchemaType) -> Arc<Schema> {
    Arc::new(Schema::new(kind))
}

fn optional(kind: SchemaType) -> Arc<Schema> {
    Arc::new(Schema::new(kind).optional())
}

fn versioned(schema: Schema, name: String) -> Schema {
    let mut schema = schema.named(name);
    schema.version = Some(1);
    schema
}

/// Schemas made once per task.
#[derive(Clone, Debug)]
pub struct SharedSchemas {
    /// Block `source`.
    pub source: Arc<Schema>,
    /// Block `transaction`.
    pub transaction: Arc<Schema>,
    /// An element of an END's list of tables.
    pub collection: Arc<Schema>,
    /// Key of the topic of transactions.
    pub transaction_key: Arc<Schema>,
    /// Value of the topic of transactions.
    pub transaction_value: Arc<Schema>,
    /// Key of heartbeats.
    pub heartbeat_key: Arc<Schema>,
    /// Value of heartbeats.
    pub heartbeat_value: Arc<Schema>,
    /// Key of logical decoding messages.
    pub message_key: Arc<Schema>,
    /// Block `message`.
    pub message_block: Arc<Schema>,
    /// Value of logical decoding messages.
    pub message_value: Arc<Schema>,
    /// A header of text.
    pub text: Arc<Schema>,
}

impl SharedSchemas {
    /// Of the configured names.
    pub fn new(naming: &Naming, binary: BinaryMode) -> Self {
        let source = Arc::new(source(naming));
        let transaction = Arc::new(transaction());
        let collection = Schema::structure([
            ("data_collection", plain(SchemaType::String)),
            ("event_count", plain(SchemaType::Int64)),
        ]);
        let collection = Arc::new(versioned(collection.optional(), "event.collection".to_owned()));
        let common = |name: &str| naming.schema(&format!("io.debezium.connector.common.{name}"));
        let own = |name: &str| naming.schema(&format!("io.debezium.connector.postgresql.{name}"));
        let transaction_value = Schema::structure([
            ("status", plain(SchemaType::String)),
            ("id", plain(SchemaType::String)),
            ("event_count", optional(SchemaType::Int64)),
            ("data_collections", Arc::new(Schema::array(Arc::clone(&collection)).optional())),
            ("ts_ms", plain(SchemaType::Int64)),
        ]);
        let content = if binary == BinaryMode::Bytes { SchemaType::Bytes } else { SchemaType::String };
        let block = Schema::structure([("prefix", optional(SchemaType::String)), ("content", optional(content))]);
        let message_block = Arc::new(versioned(block, own("Message")));
        let message_value = Schema::structure([
            ("op", plain(SchemaType::String)),
            ("ts_ms", optional(SchemaType::Int64)),
            ("source", Arc::clone(&source)),
            ("transaction", Arc::clone(&transaction)),
            ("message", Arc::clone(&message_block)),
        ]);
        let one = |field: &str, kind: SchemaType, name: String| {
            Arc::new(versioned(Schema::structure([(field, plain(kind))]), name))
        };
        let message_key = Schema::structure([("prefix", optional(SchemaType::String))]);
        Self {
            transaction_key: one("id", SchemaType::String, common("TransactionMetadataKey")),
            transaction_value: Arc::new(versioned(transaction_value, common("TransactionMetadataValue"))),
            heartbeat_key: one("serverName", SchemaType::String, common("ServerNameKey")),
            heartbeat_value: one("ts_ms", SchemaType::Int64, common("Heartbeat")),
            message_key: Arc::new(versioned(message_key, own("MessageKey"))),
            message_value: Arc::new(versioned(message_value, own("MessageValue"))),
            message_block,
            source,
            transaction,
            collection,
            text: plain(SchemaType::String),
        }
    }
}

fn source(naming: &Naming) -> Schema {
    let mut snapshot = Schema::new(SchemaType::String).named("io.debezium.data.Enum").optional();
    snapshot.version = Some(1);
    snapshot.default = Some(Value::String(Str::from_static("false")));
    let allowed = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";
    snapshot.parameters.insert("allowed".to_owned(), allowed.to_owned());
    let text = || plain(SchemaType::String);
    let number = || optional(SchemaType::Int64);
    let schema = Schema::structure([
        ("version", text()),
        ("connector", text()),
        ("name", text()),
        ("ts_ms", plain(SchemaType::Int64)),
        ("snapshot", Arc::new(snapshot)),
        ("db", text()),
        ("sequence", optional(SchemaType::String)),
        ("ts_us", number()),
        ("ts_ns", number()),
        ("schema", text()),
        ("table", text()),
        ("txId", number()),
        ("lsn", number()),
        ("xmin", number()),
        ("origin", optional(SchemaType::String)),
        ("origin_lsn", number()),
    ]);
    versioned(schema, naming.schema("io.debezium.connector.postgresql.Source"))
}

fn transaction() -> Schema {
    let schema = Schema::structure([
        ("id", plain(SchemaType::String)),
        ("total_order", plain(SchemaType::Int64)),
        ("data_collection_order", plain(SchemaType::Int64)),
    ]);
    versioned(schema.optional(), "event.block".to_owned())
}
