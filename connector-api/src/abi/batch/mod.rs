//! Record batches as bytes: how many records cross the boundary in one call.
//!
//! All numbers are little-endian and nothing is aligned. `text` and `bytes` are a `u32` length and as
//! many bytes; text is UTF-8. A list is a `u32` count and its items. An index that is `0xFFFFFFFF`
//! stands for "none".
//!
//! ```text
//! batch      "LVB1"  kind u8 (1 source, 2 sink)  version u8 (1)  zero u16
//!            topics list of text
//!            schemas list of schema
//!            records list of record
//!            source only:  partitions list of text (a JSON object each)
//!                          checkpoints list of checkpoint
//! record     length u32 (of what follows)
//!            topic u32 (index)
//!            partition i32 (source: -1 is none)
//!            timestamp i64 (milliseconds; source: the least i64 is none)
//!            sink only:  offset i64,  timestamp type u8 (0 CreateTime, 1 LogAppendTime)
//!            key schema u32 (index or none),  key value
//!            value schema u32 (index or none),  value value
//!            headers list of { name text, schema u32 (index or none), value value }
//!            sink only, where a transform has changed the topic:  original topic u32 (index)
//! value      tag u8, then by tag
//!              0 null     -            6 float32  4 bytes
//!              1 boolean  u8 0 or 1    7 float64  8 bytes
//!              2 int8     1 byte       8 string   text
//!              3 int16    2 bytes      9 bytes    bytes
//!              4 int32    4 bytes     10 array    list of value
//!              5 int64    8 bytes     11 map      list of { key value, value value }
//!                                     12 struct   schema u32 (index), a value for each of its fields
//! schema     length u32 (of what follows)
//!            type u8 (0 int8, 1 int16, 2 int32, 3 int64, 4 float32, 5 float64, 6 boolean, 7 string,
//!                     8 bytes, 9 array, 10 map, 11 struct)
//!            flags u8 (1 optional, 2 has default, 4 has name, 8 has version, 16 has doc)
//!            name text, version i32, doc text (each only with its flag)
//!            parameters list of { name text, value text }
//!            fields list of { name text, schema u32 (index) }
//!            key schema u32 (index or none),  value schema u32 (index or none)
//!            default value (only with its flag)
//! checkpoint after u32,  partition u32 (index),  offset text (a JSON object)
//!            reach u8 (0 all records before it, 1 those of its own partition)
//! ```
//!
//! A schema refers to earlier schemas only. Whoever reads skips what a `length` holds beyond what it
//! knows; that is where later minor versions put new things.
//!
//! Invariant 9: readers face any bytes. Every length is held against the bytes that are there, nothing
//! is allocated by a claimed count, and depth is bounded ([`MAX_DEPTH`], [`MAX_SCHEMA_NODES`]).

mod decode;
mod encode;
mod read;
mod read_schema;
mod schemas;
mod write;

pub use decode::{read_sink, read_source};
pub use encode::{write_sink, write_source};

/// Values and schemas nested deeper than this are refused, since they are read, compared and dropped
/// by recursion.
pub const MAX_DEPTH: u32 = 128;
/// Nodes a schema may have when written out as a tree; shared parts of schemas count as often as they
/// are used, so that a small batch can't describe a schema of endless size.
pub const MAX_SCHEMA_NODES: u64 = 65_536;

const MAGIC: [u8; 4] = *b"LVB1";
const VERSION: u8 = 1;
const SOURCE: u8 = 1;
const SINK: u8 = 2;
const NONE: u32 = u32::MAX;
const NO_TIMESTAMP: i64 = i64::MIN;

mod flag {
    pub const OPTIONAL: u8 = 1;
    pub const DEFAULT: u8 = 2;
    pub const NAME: u8 = 4;
    pub const VERSION: u8 = 8;
    pub const DOC: u8 = 16;
    pub const ALL: u8 = 31;
}

use crate::SchemaType;

/// Schema types by their number.
const TYPES: [SchemaType; 12] = [
    SchemaType::Int8,
    SchemaType::Int16,
    SchemaType::Int32,
    SchemaType::Int64,
    SchemaType::Float32,
    SchemaType::Float64,
    SchemaType::Boolean,
    SchemaType::String,
    SchemaType::Bytes,
    SchemaType::Array,
    SchemaType::Map,
    SchemaType::Struct,
];
