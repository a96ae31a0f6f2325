//! Records of the schema-change topic: those of Debezium's connectors that have one (its PostgreSQL connector has none), with
//! the table before and the list of what changed beside the table.

use super::{Batch, Emitter, Moment, emitter::now_nanos};
use crate::{
    naming::Naming,
    shape::{Change, Shape, ShapeColumn},
    table::length_and_scale,
};
use levada_connector_api::{Headers, Schema, SchemaType, SourceRecord, Str, Value};
use std::sync::Arc;

/// What all records of the topic share.
#[derive(Clone, Debug)]
pub struct SchemaChanges {
    topic: Arc<str>,
    key: Arc<Schema>,
    value: Arc<Schema>,
    change: Arc<Schema>,
    table: Arc<Schema>,
    column: Arc<Schema>,
    effect: Arc<Schema>,
}

fn plain(kind: SchemaType) -> Arc<Schema> {
    Arc::new(Schema::new(kind))
}

fn optional(kind: SchemaType) -> Arc<Schema> {
    Arc::new(Schema::new(kind).optional())
}

fn named(schema: Schema, name: String) -> Arc<Schema> {
    let mut schema = schema.named(name);
    schema.version = Some(1);
    Arc::new(schema)
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|text| Value::string(text.clone())).collect())
}

fn text(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| Value::string(text.clone()))
}

impl SchemaChanges {
    /// To `topic`, with schemas beside the block `source`.
    pub fn new(topic: Arc<str>, naming: &Naming, source: &Arc<Schema>) -> Self {
        use SchemaType::{Boolean, Int32, Int64, String};
        let relational = |name: &str| naming.schema(&format!("io.debezium.connector.schema.{name}"));
        let own = |name: &str| naming.schema(&format!("io.debezium.connector.postgresql.{name}"));
        let column = Schema::structure([
            ("name", plain(String)),
            ("jdbcType", plain(Int32)),
            ("nativeType", optional(Int32)),
            ("typeName", plain(String)),
            ("typeExpression", optional(String)),
            ("charsetName", optional(String)),
            ("length", optional(Int32)),
            ("scale", optional(Int32)),
            ("position", plain(Int32)),
            ("optional", optional(Boolean)),
            ("autoIncremented", optional(Boolean)),
            ("generated", optional(Boolean)),
            ("comment", optional(String)),
            ("defaultValueExpression", optional(String)),
            ("attributeNumber", optional(Int32)),
        ]);
        let column = named(column, relational("Column"));
        let table = Schema::structure([
            ("defaultCharsetName", optional(String)),
            ("primaryKeyColumnNames", Arc::new(Schema::array(plain(String)).optional())),
            ("columns", Arc::new(Schema::array(Arc::clone(&column)))),
            ("comment", optional(String)),
            ("replicaIdentity", optional(String)),
        ]);
        let mut table = table.optional().named(relational("Table"));
        table.version = Some(1);
        let table = Arc::new(table);
        let effect = Schema::structure([
            ("kind", plain(String)),
            ("column", optional(String)),
            ("from", optional(String)),
            ("to", optional(String)),
        ]);
        let effect = named(effect, own("SchemaChangeEffect"));
        let change = Schema::structure([
            ("type", plain(String)),
            ("id", plain(String)),
            ("table", Arc::clone(&table)),
            ("before", Arc::clone(&table)),
            ("changes", Arc::new(Schema::array(Arc::clone(&effect)))),
        ]);
        let change = named(change, relational("Change"));
        let value = Schema::structure([
            ("source", Arc::clone(source)),
            ("ts_ms", plain(Int64)),
            ("databaseName", optional(String)),
            ("schemaName", optional(String)),
            ("ddl", optional(String)),
            ("tableChanges", Arc::new(Schema::array(Arc::clone(&change)))),
        ]);
        Self {
            topic,
            key: named(Schema::structure([("databaseName", plain(String))]), own("SchemaChangeKey")),
            value: named(value, own("SchemaChangeValue")),
            change,
            table,
            column,
            effect,
        }
    }

    fn table(&self, shape: &Shape) -> Value {
        let columns = shape.columns.iter().enumerate();
        let columns = columns.map(|(index, column)| self.column(index, column)).collect();
        let values = vec![
            Value::Null,
            texts(&shape.key),
            Value::Array(columns),
            Value::Null,
            Value::string(shape.identity_text()),
        ];
        Value::structure(Arc::clone(&self.table), values)
    }

    fn column(&self, index: usize, column: &ShapeColumn) -> Value {
        let (length, scale) = length_and_scale(&column.type_name, column.modifier);
        let number = |number: Option<i32>| number.map_or(Value::Null, Value::Int32);
        let part = column.catalog.as_ref();
        let values = vec![
            Value::string(column.name.clone()),
            Value::Int32(jdbc_type(&column.type_name)),
            // Numbers of types have 32 bits without a sign; Connect's have one.
            Value::Int32(column.type_oid as i32),
            Value::string(column.type_name.clone()),
            Value::string(column.type_text()),
            Value::Null,
            number(length),
            number(scale),
            Value::Int32(i32::try_from(index + 1).unwrap_or(i32::MAX)),
            part.map_or(Value::Null, |part| Value::Boolean(!part.not_null)),
            part.map_or(Value::Null, |part| Value::Boolean(part.counts)),
            Value::Boolean(false),
            Value::Null,
            text(part.and_then(|part| part.default.as_ref())),
            number(part.map(|part| i32::from(part.number))),
        ];
        Value::structure(Arc::clone(&self.column), values)
    }

    fn effect(&self, change: &Change) -> Value {
        let kind = Value::String(Str::from_static(change.kind.name()));
        let values = vec![kind, text(change.column.as_ref()), text(change.from.as_ref()), text(change.to.as_ref())];
        Value::structure(Arc::clone(&self.effect), values)
    }
}

impl Emitter {
    /// A table that is seen for the first time (`before` is none), or that has changed.
    pub fn schema_change(
        &mut self,
        schemas: &SchemaChanges,
        before: Option<&Shape>,
        after: &Shape,
        changes: &[Change],
        moment: &Moment,
        batch: &mut Batch,
    ) {
        let database = self.options.database.clone();
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let id = [&database, &after.schema, &after.name].map(|name| quoted(name)).join(".");
        let change = vec![
            Value::String(Str::from_static(if before.is_some() { "ALTER" } else { "CREATE" })),
            Value::string(id),
            schemas.table(after),
            before.map_or(Value::Null, |before| schemas.table(before)),
            Value::Array(changes.iter().map(|change| schemas.effect(change)).collect()),
        ];
        let (schema, table) = (Str::from(after.schema.as_str()), Str::from(after.name.as_str()));
        let values = vec![
            self.source(moment, &schema, &table),
            Value::Int64(now_nanos() / 1_000_000),
            Value::string(database.clone()),
            Value::String(schema),
            Value::Null,
            Value::Array(vec![Value::structure(Arc::clone(&schemas.change), change)]),
        ];
        batch.grow(256 * after.columns.len());
        batch.push(SourceRecord {
            topic: Arc::clone(&schemas.topic),
            // One partition, so that the changes of all tables stay in order.
            partition: Some(0),
            key_schema: Some(Arc::clone(&schemas.key)),
            key: Value::structure(Arc::clone(&schemas.key), vec![Value::string(database)]),
            value_schema: Some(Arc::clone(&schemas.value)),
            value: Value::structure(Arc::clone(&schemas.value), values),
            timestamp: None,
            headers: Headers::new(),
        });
    }
}

/// The number of `java.sql.Types`.
fn jdbc_type(name: &str) -> i32 {
    match name {
        "bool" | "bit" => -7,
        "int2" => 5,
        "int4" => 4,
        "int8" | "oid" => -5,
        "float4" => 7,
        "float8" | "money" => 8,
        "numeric" => 2,
        "bpchar" => 1,
        "text" | "varchar" | "name" => 12,
        "bytea" => -2,
        "date" => 91,
        "time" => 92,
        "timetz" => 2013,
        "timestamp" => 93,
        "timestamptz" => 2014,
        "xml" => 2009,
        _ if name.starts_with('_') => 2003,
        _ => 1111,
    }
}
