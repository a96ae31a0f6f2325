//! Which schema and which decoder a column's type gets, in every mode.

use super::{Codec, Decode, Kind, Placeholder, TypeInfo, TypeRegistry, interval_precision, schemas, time::Unit};
use crate::config::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, TimeMode, TypesConfig};
use levada_connector_api::{Schema, SchemaType, Value};
use std::sync::Arc;

impl Codec {
    /// Of a type and its modifier; `None` for types that have no representation.
    pub fn of(
        config: &TypesConfig,
        types: &TypeRegistry,
        placeholder: &Placeholder,
        oid: u32,
        modifier: i32,
    ) -> Option<Self> {
        let mapped = match types.root(oid, modifier) {
            None => None,
            Some((info, _, modifier)) => match info.kind {
                Kind::Array(element, _) if is_unsupported_array(types, element) => return None,
                Kind::Array(element, apart) => array(config, types, (element, apart), modifier),
                _ => single(config, info, modifier),
            },
        };
        let (schema, decode) = mapped.or_else(|| unknown(config))?;
        let placeholder = match decode {
            Decode::HstoreJson => Value::String(placeholder.object.clone()),
            _ => placeholder_of(placeholder, &schema),
        };
        Some(Self { schema, decode, placeholder })
    }
}

type Mapped = (Schema, Decode);

fn plain(kind: SchemaType, decode: Decode) -> Mapped {
    (Schema::new(kind), decode)
}

fn text() -> Mapped {
    plain(SchemaType::String, Decode::Text)
}

fn named_text(name: &str) -> Mapped {
    (schemas::named(SchemaType::String, &format!("io.debezium.data.{name}"), 1), Decode::Text)
}

fn binary_schema(mode: BinaryMode) -> Schema {
    Schema::new(if mode == BinaryMode::Bytes { SchemaType::Bytes } else { SchemaType::String })
}

fn is_range(name: &str) -> bool {
    matches!(name, "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange")
}

/// The mapping of a base type by its name; those of extensions are told by theirs.
fn base(config: &TypesConfig, name: &str, modifier: i32) -> Option<Mapped> {
    Some(match name {
        "bool" => plain(SchemaType::Boolean, Decode::Boolean),
        "int2" => plain(SchemaType::Int16, Decode::Int16),
        "int4" => plain(SchemaType::Int32, Decode::Int32),
        "int8" | "oid" => plain(SchemaType::Int64, Decode::Int64),
        "float4" => plain(SchemaType::Float32, Decode::Float32),
        "float8" => plain(SchemaType::Float64, Decode::Float64),
        "text" | "varchar" | "bpchar" | "char" | "name" | "citext" => text(),
        "inet" | "cidr" | "macaddr" | "macaddr8" | "isbn" => text(),
        "json" | "jsonb" => named_text("Json"),
        "xml" => named_text("Xml"),
        "uuid" => named_text("Uuid"),
        "ltree" => named_text("Ltree"),
        "tsvector" => named_text("Tsvector"),
        "bytea" => (binary_schema(config.binary), Decode::Bytea(config.binary)),
        "bit" | "varbit" => match (name, modifier) {
            ("bit", ..=1) | (_, 1) => plain(SchemaType::Boolean, Decode::Bit),
            (_, ..=0) => (schemas::bits(i32::MAX), Decode::Bits),
            (_, length) => (schemas::bits(length), Decode::Bits),
        },
        "numeric" => numeric(config.decimal, modifier),
        "money" => match config.decimal {
            DecimalMode::Precise => (schemas::decimal(config.money_digits, None), Decode::Money(config.money_digits)),
            DecimalMode::Double => plain(SchemaType::Float64, Decode::MoneyDouble),
            DecimalMode::String => plain(SchemaType::String, Decode::MoneyText),
        },
        "date" | "time" | "timestamp" | "timestamptz" | "timetz" => temporal(config.time, name, modifier),
        "interval" => interval(config, modifier),
        "hstore" => match config.hstore {
            HstoreMode::Json => (named_text("Json").0, Decode::HstoreJson),
            HstoreMode::Map => (Schema::map(schemas::text(), schemas::optional_text()), Decode::HstoreMap),
        },
        "point" => {
            let schema = schemas::point();
            (schema.clone(), Decode::Point(Arc::new(schema)))
        }
        "geometry" | "geography" => {
            let schema = schemas::geometry(if name == "geometry" { "Geometry" } else { "Geography" });
            (schema.clone(), Decode::Postgis(Arc::new(schema)))
        }
        "vector" => (schemas::vector(SchemaType::Float64, "io.debezium.data.DoubleVector"), Decode::Vector),
        "halfvec" => (schemas::vector(SchemaType::Float32, "io.debezium.data.FloatVector"), Decode::HalfVector),
        "sparsevec" => {
            let schema = schemas::sparse_vector();
            (schema.clone(), Decode::SparseVector(Arc::new(schema)))
        }
        _ => return None,
    })
}

fn numeric(mode: DecimalMode, modifier: i32) -> Mapped {
    match (mode, modifier) {
        (DecimalMode::Double, _) => plain(SchemaType::Float64, Decode::DecimalDouble),
        (DecimalMode::String, _) => plain(SchemaType::String, Decode::DecimalText),
        (DecimalMode::Precise, ..=3) => {
            let schema = schemas::variable_decimal();
            (schema.clone(), Decode::VariableDecimal(Arc::new(schema)))
        }
        (DecimalMode::Precise, modifier) => {
            // Precision above, scale in the lower 11 bits with a sign (PostgreSQL 15).
            let modifier = modifier - 4;
            let (precision, scale) = (modifier >> 16 & 0xffff, ((modifier & 0x7ff) ^ 1024) - 1024);
            (schemas::decimal(scale, Some(precision)), Decode::Decimal(scale))
        }
    }
}

fn temporal(mode: TimeMode, name: &str, modifier: i32) -> Mapped {
    let precision = if modifier < 0 { 6 } else { modifier };
    if mode == TimeMode::Structured {
        return structured(name, precision);
    }
    let debezium = |kind, name: &str| schemas::named(kind, &format!("io.debezium.time.{name}"), 1);
    let connect = |kind, name: &str| schemas::named(kind, &format!("org.apache.kafka.connect.data.{name}"), 1);
    let millis = precision <= 3;
    match (name, mode) {
        ("timestamptz", _) => {
            (debezium(SchemaType::String, "ZonedTimestamp"), Decode::ZonedTimestamp(precision as usize))
        }
        ("timetz", _) => (debezium(SchemaType::String, "ZonedTime"), Decode::ZonedTime),
        ("date", TimeMode::IsoString) => (debezium(SchemaType::String, "IsoDate"), Decode::IsoDate),
        ("date", TimeMode::Connect) => (connect(SchemaType::Int32, "Date"), Decode::Days),
        ("date", _) => (debezium(SchemaType::Int32, "Date"), Decode::Days),
        ("time", TimeMode::IsoString) => (debezium(SchemaType::String, "IsoTime"), Decode::IsoTime),
        ("time", TimeMode::Connect) => (connect(SchemaType::Int32, "Time"), Decode::TimeMillis32),
        ("time", TimeMode::Nanoseconds) => (debezium(SchemaType::Int64, "NanoTime"), Decode::Time(Unit::Nanos)),
        ("time", TimeMode::Adaptive) if millis => (debezium(SchemaType::Int32, "Time"), Decode::TimeMillis32),
        ("time", _) => (debezium(SchemaType::Int64, "MicroTime"), Decode::Time(Unit::Micros)),
        (_, TimeMode::IsoString) => (debezium(SchemaType::String, "IsoTimestamp"), Decode::IsoTimestamp),
        (_, TimeMode::Connect) => (connect(SchemaType::Int64, "Timestamp"), Decode::Timestamp(Unit::Millis)),
        (_, TimeMode::Nanoseconds) => (debezium(SchemaType::Int64, "NanoTimestamp"), Decode::Timestamp(Unit::Nanos)),
        (_, TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds) if millis => {
            (debezium(SchemaType::Int64, "Timestamp"), Decode::Timestamp(Unit::Millis))
        }
        (_, _) => (debezium(SchemaType::Int64, "MicroTimestamp"), Decode::Timestamp(Unit::Micros)),
    }
}

fn structured(name: &str, precision: i32) -> Mapped {
    const DAY: [&str; 3] = ["year", "month", "day"];
    const CLOCK: [&str; 4] = ["hour", "minute", "second", "nanos"];
    let fields = |parts: &[&[&'static str]]| parts.concat();
    let of = |name: &str, parts: &[&[&'static str]]| schemas::structured(name, &fields(parts));
    match name {
        "date" => {
            let schema = of("StructuredDate", &[&DAY, &["specialValue"]]);
            (schema.clone(), Decode::StructuredDate(Arc::new(schema)))
        }
        "time" => {
            let schema = of("StructuredTime", &[&CLOCK, &["precision"]]);
            (schema.clone(), Decode::StructuredTime(Arc::new(schema), precision))
        }
        "timetz" => {
            let schema = of("StructuredZonedTime", &[&CLOCK, &["offsetSeconds", "precision"]]);
            (schema.clone(), Decode::StructuredZonedTime(Arc::new(schema), precision))
        }
        "timestamptz" => {
            let tail = ["offsetSeconds", "zoneId", "specialValue", "precision"];
            let schema = of("StructuredZonedTimestamp", &[&DAY, &CLOCK, &tail]);
            (schema.clone(), Decode::StructuredZonedTimestamp(Arc::new(schema), precision))
        }
        _ => {
            let schema = of("StructuredTimestamp", &[&DAY, &CLOCK, &["specialValue", "precision"]]);
            (schema.clone(), Decode::StructuredTimestamp(Arc::new(schema), precision))
        }
    }
}

fn interval(config: &TypesConfig, modifier: i32) -> Mapped {
    if config.time == TimeMode::Structured {
        let fields = ["years", "months", "days", "hours", "minutes", "seconds", "nanos", "precision"];
        let schema = schemas::structured("StructuredDuration", &fields);
        let precision = interval_precision(modifier).unwrap_or(6);
        return (schema.clone(), Decode::StructuredInterval(Arc::new(schema), precision));
    }
    match config.interval {
        IntervalMode::Numeric => {
            (schemas::named(SchemaType::Int64, "io.debezium.time.MicroDuration", 1), Decode::IntervalMicros)
        }
        IntervalMode::String => {
            (schemas::named(SchemaType::String, "io.debezium.time.Interval", 1), Decode::IntervalIso)
        }
    }
}

/// What is no array. Domains are looked beneath before; as elements they are unknown, as upstream.
fn single(config: &TypesConfig, info: &TypeInfo, modifier: i32) -> Option<Mapped> {
    match &info.kind {
        Kind::Base => base(config, &info.name, modifier),
        Kind::Enum(labels) => Some((schemas::enumeration(labels), Decode::Text)),
        Kind::Range if is_range(&info.name) => Some(text()),
        _ => None,
    }
}

/// What has no mapping: the server's text, where it is asked for.
fn unknown(config: &TypesConfig) -> Option<Mapped> {
    config.unknown.then(|| (binary_schema(config.binary), Decode::Opaque(config.binary)))
}

fn array(config: &TypesConfig, types: &TypeRegistry, (element, apart): (u32, u8), modifier: i32) -> Option<Mapped> {
    let (schema, decode) = single(config, types.get(element)?, modifier).or_else(|| unknown(config))?;
    // Elements of enumerations and unknown types are required upstream; nulls in them could then not be sent.
    Some((Schema::array(Arc::new(schema.optional())), Decode::Array(Box::new(decode), apart)))
}

/// Arrays that have no form upstream: the field is left out, whatever `include.unknown.datatypes` says.
fn is_unsupported_array(types: &TypeRegistry, element: u32) -> bool {
    let unsupported = ["money", "name", "interval", "varbit", "xml", "point", "refcursor"];
    types.get(element).is_some_and(|info| unsupported.contains(&info.name.as_str()))
}

/// What stands for a large value that was not sent; null where the schema has no place for it.
fn placeholder_of(placeholder: &Placeholder, schema: &Schema) -> Value {
    match schema.kind {
        SchemaType::String => Value::String(placeholder.text.clone()),
        SchemaType::Bytes if schema.name.is_none() => Value::Bytes(placeholder.bytes.clone()),
        SchemaType::Map => {
            let text = Value::String(placeholder.text.clone());
            Value::Map(vec![(text.clone(), text)])
        }
        SchemaType::Array => {
            let codes = |value: fn(i8) -> Value| {
                Value::Array(placeholder.bytes.iter().map(|byte| value(*byte as i8)).collect())
            };
            match schema.value_schema.as_ref().map(|schema| schema.kind) {
                Some(SchemaType::Int16) => codes(|byte| Value::Int16(i16::from(byte))),
                Some(SchemaType::Int32) => codes(|byte| Value::Int32(i32::from(byte))),
                Some(SchemaType::Int64) => codes(|byte| Value::Int64(i64::from(byte))),
                Some(SchemaType::Bytes) => Value::Array(vec![Value::Bytes(placeholder.bytes.clone())]),
                Some(SchemaType::String) => Value::Array(vec![Value::String(placeholder.text.clone())]),
                _ => Value::Null,
            }
        }
        _ => Value::Null,
    }
}
